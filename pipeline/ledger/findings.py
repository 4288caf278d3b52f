"""What `verify` can find in an output: a closed table, and the collection of what was found, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EXAMPLES = 5
"""How many places are kept of one kind of finding; the rest is counted."""


class Flaw(NamedTuple):
    """One kind of finding. `damage` False is a note: nothing is wrong, or the next run mends it."""

    invariant: str
    what: str
    advice: str
    damage: bool = True


_RESTORE = "Bring the file back from a copy; without one its rows have to be bought again in a new output."
_BUG = "No run of vlm-batch writes this: keep the output as it is and report it."
_EDITED = "The file was changed after it was committed. Bring the original back from a copy."

FLAWS: Mapping[str, Flaw] = {
    # I1, I2: committed files
    "part_gap": Flaw("I1", "a shard's parts are not numbered 1, 2, 3 ...: a file is missing or doubled", _RESTORE),
    "part_deleted": Flaw("I1", "a part that had been committed is gone; the index still names it", _RESTORE),
    "file_unreadable": Flaw("I2", "a committed file cannot be read", _RESTORE),
    "rows_mislisted": Flaw("I2", "the row list in a file's footer is not what the file holds", _EDITED),
    "row_repeated": Flaw("I2", "a row stands more than once in one file", _EDITED),
    "row_in_two_parts": Flaw("I2", "a row stands in two parts of its shard", "One of the parts is a copy. " + _BUG),
    "shard_column_wrong": Flaw("I2", "the column `shard` is not the shard in the file's name", _EDITED),
    "totals_wrong": Flaw("I2", "the totals in a file's footer are not those of its rows", _EDITED),
    "schema_differs": Flaw("I2", "the columns of a file are not those of the others of its task", _EDITED),
    # I3: the plan and its outcomes
    "plan_missing": Flaw(
        "I3", "answers are there, but the plan they belong to is missing", "Bring _run/plan back from a copy."
    ),
    "plan_unreadable": Flaw("I3", "the plan cannot be read", "Bring the file in _run/plan back from a copy."),
    "unplanned": Flaw(
        "I3",
        "outcomes stand at places that the plan does not know",
        "Files of _run/plan are missing or from another output. Bring the right ones back from a copy.",
    ),
    "key_wrong": Flaw("I3", "a row's key is not the one that the plan has at its place", _EDITED),
    "row_in_both": Flaw("I3", "a row stands in data and in failures", "A reader counts it twice. " + _BUG),
    "key_settled_twice": Flaw(
        "I3", "a picture has two outcomes of one task, at two places of the plan", "It was paid for twice. " + _BUG
    ),
    "half_committed": Flaw(
        "I3",
        "a row was answered after a failure that still stands: a kill came between two writes",
        "Nothing is lost. The next run removes the failure.",
        damage=False,
    ),
    "superseded_snapshot": Flaw(
        "I3",
        "an older failure snapshot lies beside the one that replaced it: a kill came between two writes",
        "Nothing is lost. The next run deletes it; until then a reader of failures/ sees both.",
        damage=False,
    ),
    "retired_retryable": Flaw(
        "I3",
        "failures that may pass stand in retired shards, whose rows are planned anew elsewhere",
        "Nothing to do: the next run that works on these shards drops them.",
        damage=False,
    ),
    # I4: answers and their questions
    "answer_shared": Flaw("I4", "one received answer is stored for two different questions", _BUG),
    "original_missing": Flaw("I4", "`dedup_of` names a row that is not there, or that asked something else", _BUG),
    "copy_costs": Flaw("I4", "a row that shares another's answer (`dedup_of`) has a cost of its own", _BUG),
    # I7, I8: the journal
    "segment_unreadable": Flaw(
        "I7", "a journal segment cannot be read", "Its answers may stand nowhere else. Keep the file; try a copy of it."
    ),
    "segment_damaged": Flaw(
        "I7",
        "a journal segment has a hole: good frames stand behind a bad one",
        "The answers behind the hole are asked again by the next run. Keep the file until you have judged it.",
    ),
    "segment_removed": Flaw(
        "I8",
        "a journal segment was removed before its rows were committed",
        "Answers that were paid for are lost unless the file comes back. If you moved it away yourself, put it back.",
    ),
    "torn_tail": Flaw(
        "I7",
        "a journal segment ends within a frame, as a kill or a power cut leaves it",
        "Nothing acknowledged is lost.",
        damage=False,
    ),
    "uncommitted": Flaw(
        "I8",
        "the journal holds rows that are not committed yet",
        "Nothing is lost. The next run takes them over before it asks anything.",
        damage=False,
    ),
    "segments_unlisted": Flaw(
        "I8",
        "there is no list of journal segments (_run/segments): an earlier version wrote this output",
        "A journal segment that was removed early could not be noticed here.",
        damage=False,
    ),
    # I9: what a plain reader sees
    "foreign_parquet": Flaw(
        "I9", "a .parquet file that is not ours lies among the answers: readers take it for one", "Move it away."
    ),
    "parquet_in_run": Flaw("I9", "a file under _run ends in .parquet: a `**` glob reads it as data", "Move it away."),
    "foreign_file": Flaw(
        "I9", "a file that is not ours lies among the answers", "Readers ignore it; move it away.", damage=False
    ),
    # I10: the mark of a finished output
    "success_unanswered": Flaw(
        "I10",
        "_SUCCESS stands, but planned questions have no outcome",
        "Files were deleted, or _SUCCESS is wrong. Bring the files back from a copy, or delete _SUCCESS and run again: "
        "what is missing is bought again.",
    ),
    "success_retryable": Flaw(
        "I10", "_SUCCESS stands, but failures are still to be tried again", "Delete _SUCCESS and run again."
    ),
    "success_uncommitted": Flaw(
        "I10", "_SUCCESS stands, but the journal holds rows that are not committed", "Delete _SUCCESS and run again."
    ),
    # I12: the configuration
    "config_missing": Flaw(
        "I12", "the records of the configuration have a gap, or are missing", "Bring _run/config-*.json back."
    ),
    "config_unreadable": Flaw("I12", "a record of the configuration cannot be read", "Bring it back from a copy."),
}
"""The table is closed: a new kind is added here first."""


@dataclass(slots=True)
class Finding:
    """One kind of flaw in this output: how often, and the first places."""

    code: str
    count: int = 0
    places: list[str] = field(default_factory=list)

    @property
    def flaw(self) -> Flaw:
        """What it means."""
        return FLAWS[self.code]


class Findings:
    """Everything found so far, by kind."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, code: str, place: str | Callable[[], str], count: int = 1) -> None:
        """Note a flaw, `count` times at one place; a place that costs a look-up is worked out only when it is shown."""
        finding = self._found.setdefault(code, Finding(code))
        finding.count += count
        if len(finding.places) < EXAMPLES:
            words = place if isinstance(place, str) else place()
            # File names that are no UTF-8 keep their bytes as \\xNN: they are to be printed.
            finding.places.append(words.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))

    def damage(self) -> list[Finding]:
        """What breaks an invariant, in the order of the table."""
        return self._chosen(damage=True)

    def notes(self) -> list[Finding]:
        """What is worth knowing and no damage."""
        return self._chosen(damage=False)

    def _chosen(self, *, damage: bool) -> list[Finding]:
        found = (self._found.get(code) for code, flaw in FLAWS.items() if flaw.damage is damage)
        return [finding for finding in found if finding is not None]
