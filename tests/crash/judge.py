"""The invariants that need memory: what was once seen in an output is held against what is seen later."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.crash.evidence import Evidence, Question, ServerLog

EQUAL_ASKED_ONCE = True
"""Whether equal questions are asked once: until then each row of equal pictures buys an answer of its own."""


@dataclass
class Known:
    """All that was ever seen of one output: `held` answers, and the questions that must not be asked any more."""

    tasks: tuple[str, ...]
    held: dict[str, Question] = field(default_factory=dict)
    satisfied: set[Question] = field(default_factory=set)
    judged: int = 0
    """How many of the server's requests were received before the last look."""
    counted: int = 0
    """How many of them were judged for extra calls."""

    def take_over(self, log: ServerLog, now: Evidence, copies: Mapping[str, int]) -> None:
        """From now on this is known. `copies` is how many rows of the manifest have the picture of a key."""
        answers = dict(now.answers())
        self.held.update(answers)
        usable = Counter(question for name, question in answers.items() if log.usable(name))
        wanted: dict[Question, int] = {}
        for question, key in _keys(now):
            wanted[question] = 1 if EQUAL_ASKED_ONCE else copies.get(key, 1)
        self.satisfied = {question for question, count in usable.items() if count >= wanted.get(question, 1)}
        self.judged = len(log.received)

    def forget(self, names: Iterable[str]) -> None:
        """These answers were taken by a power cut."""
        for name in names:
            question = self.held.pop(name, None)
            if question is not None:
                self.satisfied.discard(question)


def _keys(now: Evidence) -> Iterable[tuple[Question, str]]:
    for row in (*now.rows, *now.failures):
        yield row.question, row.key
    for frame in now.frames:
        yield Question(frame.facts.model, frame.facts.image_sha256 or ""), frame.facts.key


def bought_again(known: Known, log: ServerLog) -> list[str]:
    """I5: requests since the last look for what was answered usably before it."""
    return [
        f"I5 {question.picture[:12]} was answered and is asked again by {name}"
        for name, question in log.received[known.judged :]
        if question in known.satisfied
    ]


def kept(known: Known, log: ServerLog, now: Evidence) -> list[str]:
    """I4: what is stored was sold for that very picture. I8: what was seen is there, or something newer."""
    answers = dict(now.answers())
    problems = [
        f"I4 {name} is stored for {question.picture[:12]}, and was not sold for it"
        for name, question in answers.items()
        if name not in log.sold or log.question(log.sold[name]) != question
    ]
    newest = _newest(answers, log)
    for name, question in known.held.items():
        if name not in answers and (log.usable(name) or newest.get(question, -1) < log.numbers[name]):
            problems.append(f"I8 answer {name} was kept and is gone")
    return problems


def extra_calls(known: Known, log: ServerLog, now: Evidence) -> int:
    """I6: requests since the last count that were, or will be, paid for and are nowhere in the output."""
    answers = dict(now.answers())
    newest = _newest(answers, log)
    fresh = log.received[known.counted :]
    known.counted = len(log.received)
    return sum(
        name not in answers and name not in log.refused and newest.get(question, -1) < log.numbers[name]
        for name, question in fresh
    )


def _newest(answers: Mapping[str, Question], log: ServerLog) -> dict[Question, int]:
    newest: dict[Question, int] = {}
    for name, question in answers.items():
        newest[question] = max(newest.get(question, -1), log.numbers.get(name, -1))
    return newest


@dataclass
class Finished:
    """What is wrong with a finished output."""

    lost: list[str]
    doubled: int
    all: list[str]


def finished(known: Known, log: ServerLog, now: Evidence, keys: set[str]) -> Finished:
    """I3, and that nothing ever seen is lost or doubled; the journal is empty."""
    answers = dict(now.answers())
    newest = _newest(answers, log)
    lost = [
        name
        for name, question in known.held.items()
        if name not in answers and (log.usable(name) or newest.get(question, -1) < log.numbers[name])
    ]
    problems = [f"lost: {lost[:5]}"] * bool(lost)
    doubled = 0
    for task in known.tasks:
        stored = Counter(row.key for row in (*now.rows, *now.failures) if row.place.task == task)
        twice = [key for key, count in stored.items() if count > 1]
        doubled += len(twice)
        problems += [f"I3 {task}: {twice[:5]} have more than one outcome"] * bool(twice)
        missing, strange = sorted(keys - set(stored))[:5], sorted(set(stored) - keys)[:5]
        problems += [f"I3 {task}: {missing} have no outcome"] * bool(missing)
        problems += [f"I3 {task}: {strange} are not in the manifest"] * bool(strange)
    bought = Counter(row.request_id for row in (*now.rows, *now.failures) if row.request_id and not row.copied)
    shared = [name for name, count in bought.items() if count > 1]
    doubled += len(shared)
    problems += [f"I3 {shared[:5]} stand in several rows"] * bool(shared)
    problems += [f"I8 {len(now.frames)} frames are still in the journal"] * bool(now.frames)
    left = now.left(known.tasks)
    problems += [f"I3 {left[:5]} are planned and left"] * bool(left)
    wrong = [row.key for row in now.rows if not log.usable(row.request_id or "")]
    problems += [f"I4 {wrong[:5]} have an answer that is none"] * bool(wrong)
    return Finished(lost, doubled, problems)
