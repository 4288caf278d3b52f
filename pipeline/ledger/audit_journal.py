"""Checks the journal: every segment replays, every frame is planned, and no segment went before its rows were safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyroaring import BitMap

from pipeline.core.outcomes import Frame
from pipeline.ledger.findings import Findings
from pipeline.ledger.frames import Replay, replay
from pipeline.ledger.journal import SUFFIX, segment_files
from pipeline.ledger.output import Output
from pipeline.storage.local import reason

"""Under _run: an append-only list of the segments that were opened and settled."""


@dataclass(slots=True)
class Journaled:
    """What stands in the journal: by task and shard, the rows that have a frame."""

    rows: dict[tuple[str, int], BitMap] = field(default_factory=dict)
    frames: int = 0
    segments: int = 0

    def of(self, task: str, shard: int) -> BitMap:
        """The rows of a shard that have a frame."""
        return self.rows.get((task, shard), BitMap())


def audit_journal(output: Output, findings: Findings, visit: Callable[[str, Frame], None]) -> Journaled:
    """Replay everything; `visit` is called with each readable frame and its segment. Memory: one segment."""
    journaled = Journaled()
    for path in segment_files(output.journal):
        journaled.segments += 1
        name = str(path.relative_to(output.root))
        try:
            for item in replay(path):
                if isinstance(item, Replay):
                    _judge(item, name, findings)
                    continue
                journaled.frames += 1
                journaled.rows.setdefault((item.row.task, item.row.shard), BitMap()).add(item.row.ordinal)
                visit(name, item)
        except OSError as error:
            findings.add("segment_unreadable", f"{name}: {reason(error)}")
        except (ValueError, TypeError, LookupError, OverflowError) as error:  # whole, but no frame that we know
            findings.add("segment_unreadable", f"{name}: {type(error).__name__}: {error}")
    _audit_list(output, findings)
    return journaled


def _judge(ending: Replay, name: str, findings: Findings) -> None:
    if ending.damaged:
        findings.add("segment_damaged", f"{name}: readable up to byte {ending.good_bytes:,} of {ending.total_bytes:,}")
    elif ending.good_bytes < ending.total_bytes:
        findings.add(
            "torn_tail", f"{name}: {ending.total_bytes - ending.good_bytes:,} bytes behind the last whole frame"
        )


def _audit_list(output: Output, findings: Findings) -> None:
    """The list says of each segment that it was opened (+) and that its rows are all committed (-), in this order."""
    path = output.segments
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if output.holds_answers():
            findings.add("segments_unlisted", str(path.relative_to(output.root)))
        return
    pending: dict[int, None] = {}
    for line in content.split(b"\n")[:-1]:  # what stands behind the last line end was torn by a kill
        sign, number = line[:1], line[1:]
        if not number.isdigit():
            continue
        if sign == b"+":
            pending[int(number)] = None
        elif sign == b"-":
            pending.pop(int(number), None)
    there = {int(segment.stem) for segment in segment_files(output.journal)}
    for gone in pending:
        if gone not in there:
            findings.add("segment_removed", str((output.journal / f"{gone:06}{SUFFIX}").relative_to(output.root)))
