"""The samples of a regression, picture by picture, those that moved first."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.evaluation.results import Comparison, Evaluation, Moved, Sample
from pipeline.reporting.differences import Pieces, differences


@dataclass(frozen=True, slots=True)
class Question:
    """A sample, and what moved of it; `before` and `after` are set where two answers can be laid side by side."""

    place: str
    sample: Sample
    moves: tuple[Moved, ...]
    before: Pieces | None
    after: Pieces | None

    @property
    def metrics(self) -> frozenset[str]:
        """Those that moved."""
        return frozenset(move.metric for move in self.moves)

    @property
    def urgency(self) -> int:
        """0 for what is a regression by itself, then what got worse, what moved otherwise, what failed, the rest."""
        if any(move.alarming for move in self.moves):
            return 0
        if any(move.verdict == "worse" for move in self.moves):
            return 1
        if self.moves:
            return 2
        return 3 if self.sample.answer is None else 4


@dataclass(frozen=True, slots=True)
class Card:
    """A picture and the questions about it. `thumbnail` is a data: URI."""

    sample: Sample
    thumbnail: str | None
    questions: tuple[Question, ...]


def picture_cards(evaluation: Evaluation, comparison: Comparison | None, thumbnails: Mapping[str, bytes]) -> list[Card]:
    """A card for each picture, the most urgent first, else in the evaluation's order. `thumbnails` are JPEGs by key."""
    moves: dict[tuple[str, str], list[Moved]] = {}
    for move in comparison.moved if comparison else ():
        moves.setdefault((move.now.task, move.now.key), []).append(move)
    about: dict[object, list[Question]] = {}
    for number, sample in enumerate(evaluation.samples, 1):
        question = _question(f"sample-{number}", sample, tuple(moves.get((sample.task, sample.key), ())))
        picture = (sample.key, sample.image, sample.category, sample.languages, sample.tags)
        about.setdefault(picture, []).append(question)
    cards = [_card(questions, thumbnails) for questions in about.values()]
    return sorted(cards, key=lambda card: min(question.urgency for question in card.questions))


def places(cards: list[Card]) -> Iterator[tuple[Question, Moved]]:
    """What alarms, with the place on the page where it is shown."""
    for card in cards:
        for question in card.questions:
            yield from ((question, move) for move in question.moves if move.alarming)


def _card(questions: list[Question], thumbnails: Mapping[str, bytes]) -> Card:
    sample = questions[0].sample
    small = thumbnails.get(sample.key)
    uri = None if small is None else "data:image/jpeg;base64," + b64encode(small).decode("ascii")
    return Card(sample, uri, tuple(questions))


def _question(place: str, sample: Sample, moves: tuple[Moved, ...]) -> Question:
    before = moves[0].answer_before if moves else None
    if before is None or sample.answer is None:
        return Question(place, sample, moves, None, None)
    return Question(place, sample, moves, *differences(before, sample.answer))
