"""A look at some of the rows that are still to be asked, and at the pictures that lie at hand. Nothing is fetched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.compose import OpenTask
from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.core.types import ManifestRow
from pipeline.images.expectation import expected
from pipeline.images.rules import ServerRules
from pipeline.manifests.sample import PLACES
from pipeline.prompts.order import CHARACTERS_A_TOKEN
from pipeline.storage.local import LocalFetcher

MOST_ROWS: Final = 20_000
MOST_PICTURES: Final = 64


@dataclass(slots=True)
class Mean:
    """A mean that grows."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """One more."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Survey:
    """What the rows looked at are like. Tokens are means."""

    rows: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    """Rows that fail without a picture of theirs being looked at, by kind."""
    size: Mean = field(default_factory=Mean)
    """Bytes of a picture at its source, over rows that tell."""
    pictures: int = 0
    """Pictures whose header was read."""
    broken: Counter[str] = field(default_factory=Counter)
    """Those of them that cannot be used, by kind; a file that is not there counts, too."""
    image_tokens: dict[ImageContract, Mean] = field(default_factory=dict)
    """By the model's formula; nothing for a contract without one."""
    row_text: dict[str, Mean] = field(default_factory=dict)
    """By task: what a row itself adds to the text."""

    @property
    def usable(self) -> float:
        """The share of rows, 0 to 1, that are expected to reach the model."""
        rows = 1 - self.unusable.total() / self.rows if self.rows else 1.0
        return rows * (1 - self.broken.total() / self.pictures if self.pictures else 1.0)


def survey(rows: Iterable[ManifestRow], tasks: Mapping[str, OpenTask], rules: ServerRules, *, about: int) -> Survey:
    """Look at these rows, `about` so many, and at up to 64 pictures among them."""
    found = Survey()
    every, at_place = math.ceil(max(about, 1) / MOST_PICTURES), Counter[int]()
    contracts = list(dict.fromkeys(task.contract for task in tasks.values()))
    for number, row in enumerate(rows):
        found.rows += 1
        if row.problem is not None:
            found.unusable[row.problem.kind] += 1
            continue
        try:
            texts = {name: task.prompt(row.columns, ()) for name, task in tasks.items()}
        except ItemError as error:  # a row that was to bring a question and does not
            found.unusable[error.kind] += 1
            continue
        for name, prompt in texts.items():
            characters = len(prompt.context or "") + len(prompt.question or "")
            found.row_text.setdefault(name, Mean()).add(characters / CHARACTERS_A_TOKEN)
        size = len(row.data) if row.data is not None else row.size
        if size is not None:
            found.size.add(size)
        # A manifest with pictures in it is left after a few of a place: those must do.
        due = at_place[row.shard] < MOST_PICTURES // PLACES if row.data is not None else number % every == 0
        if due and (row.data is not None or row.path is not None):
            at_place[row.shard] += 1
            _look(row, contracts, rules, found)
    return found


def _look(row: ManifestRow, contracts: Iterable[ImageContract], rules: ServerRules, found: Survey) -> None:
    found.pictures += 1
    try:
        source = row.data if row.data is not None else LocalFetcher().fetch(row)
        for contract in contracts:
            picture = expected(source, contract, rules)
            if picture is not None and picture.tokens is not None:
                found.image_tokens.setdefault(contract, Mean()).add(picture.tokens)
    except ItemError as error:
        found.broken[error.kind] += 1
