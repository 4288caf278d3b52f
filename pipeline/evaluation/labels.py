"""What is known of the pictures of a sample set: one JSON object a line, each telling what a right answer holds.

Fields, all but `id` optional: `id`, `file` (the picture's path), `category`, `lang` (language codes), `tags`, `text`
(what stands on the picture; "" where none does, null or absent where that is not known), `captions` (good ones),
`subject` (names for what the picture shows, of which a caption uses at least one), `subjects` (what a caption names:
each entry a word, or a list of words of which one suffices), `must_contain` (facts that text or caption tells),
`moderation` (`label`: safe, unsafe or unsure; `categories`), `answers` (task name -> the answer: text, number, or an
object of fields). Further fields are for people and left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import ConfigError

VERDICTS = ("safe", "unsure", "unsafe")
"""What moderation says of a picture, from harmless to harmful."""
_DEEPEST = 100
"""Levels of a label's values: far more than an answer has, far fewer than Python can follow."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one picture. None, and empty, where nothing is."""

    id: str
    file: str | None = None
    category: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str | None = None
    captions: tuple[str, ...] = ()
    subjects: tuple[tuple[str, ...], ...] = ()
    """What a caption names: of each entry one word suffices."""
    must_contain: tuple[str, ...] = ()
    verdict: str | None = None
    categories: tuple[str, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels in a JSON Lines file, in its order. Raises ConfigError with every mistake in it."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines would end lines at U+2028 too
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            [f"Cannot read the labels {path}: {told}. Set regress.labels to a JSON Lines file."]
        ) from None
    problems: list[str] = []
    labels: list[Label] = []
    claimed: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}: "
        reader = _Reader(where, problems)
        label = reader.label(line)
        if label is None:
            continue
        for what, name in (("id", label.id), ("file", label.file)):
            line_before, as_what = claimed.setdefault(name, (number, what)) if name else (number, what)
            if line_before != number:
                problems.append(
                    f"{where}the {what} {name!r} stands on line {line_before} already, as its {as_what}; "
                    "a picture has one label."
                )
        labels.append(label)
    if not labels and not problems:
        problems.append(f"{path} holds no labels. Write one JSON object a line, each with an id.")
    if problems:
        raise ConfigError(problems)
    return tuple(labels)


def labels_by_key(labels: Sequence[Label], keys: Iterable[str]) -> dict[str, Label]:
    """The label of each key that has one: its id, its file, or the file whose path ends in the key after a "/"."""
    exact = {name: label for label in labels for name in (label.file, label.id) if name is not None}
    ends: dict[str, Label] = {}
    doubtful: set[str] = set()
    for label in labels:
        parts = (label.file or "").split("/")
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            if end in ends:
                doubtful.add(end)
            ends[end] = label
    found = {key: exact.get(key) or (None if key in doubtful else ends.get(key)) for key in keys}
    return {key: label for key, label in found.items() if label is not None}


class _Reader:
    """Reads one line and notes what is wrong with it."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems

    def label(self, line: str) -> Label | None:
        try:
            raw = json.loads(line)
        except ValueError as error:
            self._wrong(f"this is not JSON ({error}). Write one object a line.")
            return None
        except RecursionError:
            self._wrong(f"this is nested too deeply. Keep it below {_DEEPEST} levels.")
            return None
        if not isinstance(raw, dict):
            self._wrong("expected a JSON object.")
            return None
        if _deeper(raw, _DEEPEST):
            self._wrong(f"this is nested too deeply. Keep it below {_DEEPEST} levels.")
            return None
        if not isinstance(raw.get("id"), str) or not raw["id"]:
            number = isinstance(raw.get("id"), int | float) and not isinstance(raw["id"], bool)
            advice = f': write "{raw["id"]}"' if number else ""
            self._wrong(f"id: expected a text that is not empty{advice}.")
            return None
        verdict, categories = self._moderation(raw.get("moderation"))
        return Label(
            id=raw["id"],
            file=self._text(raw, "file"),
            category=self._text(raw, "category") or "",
            languages=self._texts(raw, "lang"),
            tags=self._texts(raw, "tags"),
            text=self._text(raw, "text"),
            captions=self._texts(raw, "captions"),
            subjects=self._subjects(raw),
            must_contain=self._texts(raw, "must_contain"),
            verdict=verdict,
            categories=categories,
            answers=self._answers(raw.get("answers")),
        )

    def _wrong(self, problem: str) -> None:
        self._problems.append(self._where + problem)

    def _text(self, raw: Mapping[str, Any], name: str) -> str | None:
        value = raw.get(name)
        if value is None or isinstance(value, str):
            return value
        self._wrong(f"{name}: expected a text, not {json.dumps(value, ensure_ascii=False)[:60]}.")
        return None

    def _texts(self, raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
        value = raw.get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        self._wrong(f"{name}: expected a list of texts, not {json.dumps(value, ensure_ascii=False)[:60]}.")
        return ()

    def _subjects(self, raw: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        entries = raw.get("subjects") or []
        if not isinstance(entries, list):
            self._wrong("subjects: expected a list of words, or of lists of words of which one suffices.")
            entries = []
        named = []
        for entry in entries:
            words = [entry] if isinstance(entry, str) else entry
            if isinstance(words, list) and words and all(isinstance(word, str) and word for word in words):
                named.append(tuple(words))
            else:
                self._wrong(f"subjects: expected a word or a list of words, not {json.dumps(entry)[:60]}.")
        alternatives = self._texts(raw, "subject")
        return (*named, alternatives) if alternatives else tuple(named)

    def _moderation(self, value: Any) -> tuple[str | None, tuple[str, ...]]:
        if value is None:
            return None, ()
        if not isinstance(value, dict):
            self._wrong('moderation: expected an object such as {"label": "safe", "categories": []}.')
            return None, ()
        verdict = value.get("label")
        if verdict not in VERDICTS:
            self._wrong(f"moderation.label: expected safe, unsafe or unsure, not {json.dumps(verdict)[:60]}.")
            verdict = None
        return verdict, self._texts({"moderation.categories": value.get("categories")}, "moderation.categories")

    def _answers(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong("answers: expected an object of task names and their answers.")
            return {}
        for task, answer in value.items():
            if answer is None or isinstance(answer, list) or answer == {}:
                self._wrong(f"answers.{task}: expected a text, a number, true, false or an object of fields.")
        return value


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)
