"""The moments at which a run is killed, one line each, and how a process is made to die at one.

The product knows nothing of this: a point is a function of it that is wrapped from outside. A target that is not there
any more is an AttributeError at once, and a point that no run reaches fails the suite: a renamed function cannot turn a
kill into an ordinary run.
"""

import importlib
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Moment = Literal["before", "after", "half"]
Start = Literal["new", "done", "killed", "drained", "journaled", "told"]
"""What the output is like when the point is to be met:

new         nothing is there
done        a complete run, then more pictures
killed      a complete run, more pictures, a run killed half-way, then more pictures
drained     a run stopped half-way by SIGTERM; the manifest stays as it was
journaled   a run killed when everything was answered and nothing committed
told        as `killed`, and the run gets SIGTERM once it has some answers
"""


@dataclass(frozen=True)
class Point:
    """Where a run dies: `moment` the call of `target` (`module:name.attribute`) that is the `nth` of those that count.

    A call counts while its thread is `inside` that function, after `since` was called in the process, and `when` its
    arguments are such. `half` hands half of the bytes to os.write first.
    """

    name: str
    what: str
    target: str
    moment: Moment
    inside: str | None = None
    since: str | None = None
    when: Callable[..., bool] | None = None
    nth: int = 1
    start: Start = "killed"


def _answer(journal: Any, frame: Any) -> bool:
    return frame.problem is None


def _some(*values: Any) -> bool:
    return len(values[-1]) > 0


def _fails(standing: Any, *_: Any, **__: Any) -> bool:
    return bool(standing.failures)


def _snapshot(path: Any, *_: Any, **__: Any) -> bool:
    return str(path.name).startswith("shard-")


def _segment(path: Any, *_: Any, **__: Any) -> bool:
    return str(path).endswith(".vlj")


def _there(output: Any) -> bool:
    return bool(output.success.exists())


JOURNAL, LEDGER, PARTS = (
    "pipeline.ledger.journal:Journal",
    "pipeline.ledger.ledger:OutputLedger",
    "pipeline.ledger.parts",
)
OUTPUT, PLAN, STANDING = "pipeline.ledger.output", "pipeline.manifests.generation", "pipeline.ledger.standing:Standing"
RECORD, TWINS = "pipeline.ledger.segment:SegmentRecord", "pipeline.ledger.twins:Twins"
EVENTS = "pipeline.engine.events:Events"
RECOVERY = "pipeline.ledger.recovery"
APPEND, SYNC, SETTLE = f"{JOURNAL}.append", f"{JOURNAL}.sync", f"{JOURNAL}.settle"
COMMIT, RECOVER, SNAPSHOT = f"{LEDGER}.commit", f"{RECOVERY}:Restoration.run", f"{STANDING}.write_snapshot"
UNLINK, LINK, PUBLISH = "pathlib:Path.unlink", "os:link", f"{PARTS}:publish"
WRITE, WRITE_TABLE = f"{PARTS}:write", "pyarrow.parquet:ParquetWriter.write_table"
FOLDER, SETTLER = "pipeline.storage.local:sync_folder", "pipeline.engine.settle:Settler.settle"
BACK, DRAIN = f"{OUTPUT}:Output.take_back_success", "pipeline.engine.shutdown:Stop.drain"

# fmt: off
POINTS = (
    # an answer
    Point("answer-read", "the body is read, nothing is journaled", APPEND, "before", when=_answer, nth=7),
    Point("mid-frame", "half of a frame is written", "os:write", "half", inside=APPEND, nth=6),
    Point("frame-written", "a frame is written, not synced", APPEND, "after", nth=8),
    Point("segment-opened", "a new segment is there, empty", "os:open", "after", inside=APPEND, when=_segment),
    Point("before-sync", "frames are written, their sync has not begun", "os:fdatasync", "before", inside=SYNC, nth=2),
    Point("after-sync", "frames are on the disk, nobody knows", "os:fdatasync", "after", inside=SYNC, nth=2),
    Point("before-add", "an answer is journaled, the ledger does not know", f"{LEDGER}.add", "before", since=SYNC),
    Point("segment-recorded", "a segment is recorded and has no frame", f"{RECORD}.opened", "after"),
    Point("before-checkpoint", "an attempt has failed, nobody knows", f"{EVENTS}.failed", "before"),
    Point("checkpoint", "a failed attempt is journaled", f"{EVENTS}.failed", "after"),
    Point("before-copy", "a leader has its outcome, its follower has none", f"{EVENTS}.shared", "before"),
    Point("copy", "a copy is journaled, the ledger does not know", f"{EVENTS}.shared", "after"),
    # a part
    Point("mid-part", "a part has rows and no footer", WRITE_TABLE, "after", inside=WRITE),
    Point("part-unsynced", "a part is whole, not synced", "os:fsync", "before", inside=PUBLISH),
    Point("before-link", "a part is synced, without its name", LINK, "before", inside=PUBLISH),
    Point("after-link", "a part has its name, and its scratch name", LINK, "after", inside=PUBLISH),
    Point("part-named", "a part is committed, its writer does not know", FOLDER, "after", inside=PUBLISH),
    Point("part-known", "a part is committed, the journal not settled", SETTLE, "before", inside=COMMIT, when=_some),
    Point("before-index", "a part is committed, the index does not know", f"{TWINS}.committed", "before"),
    Point("indexed", "a part is in the index, the journal not settled", f"{TWINS}.committed", "after"),
    Point("settling", "a segment is settled, its record does not say so", f"{RECORD}.settled", "before", when=_some),
    Point("settled", "the record says that a segment goes, it is there", f"{RECORD}.settled", "after", when=_some),
    Point("before-segment-goes", "a settled segment is about to be deleted", UNLINK, "before", inside=SETTLE),
    Point("segment-gone", "a settled segment is deleted", UNLINK, "after", inside=SETTLE),
    # a failure snapshot
    Point("before-snapshot", "failures wait to be written", SNAPSHOT, "before", when=_fails),
    Point("next-snapshot", "the next generation is gathered", WRITE, "before", inside=SNAPSHOT, start="drained"),
    Point("snapshot-named", "a new generation is there", WRITE, "after", inside=SNAPSHOT),
    Point("two-snapshots", "both generations are there", UNLINK, "before", SNAPSHOT, when=_snapshot, start="drained"),
    Point("old-snapshot-gone", "the older is deleted", UNLINK, "after", SNAPSHOT, when=_snapshot, start="drained"),
    Point("after-snapshot", "the snapshot is there, the journal not yet settled", SNAPSHOT, "after", when=_fails),
    # the end of a run, and _SUCCESS
    Point("before-success-goes", "_SUCCESS is about to be taken back", BACK, "before", when=_there, start="done"),
    Point("success-gone", "_SUCCESS is taken back, the plan has not grown", BACK, "after", when=_there, start="done"),
    Point("before-summary", "all is committed, the summary is old", "pipeline.closing:replace", "before"),
    Point("before-success", "all is done but _SUCCESS", "pipeline.closing:create", "before"),
    Point("success", "_SUCCESS is there, the journal not closed", "pipeline.closing:create", "after"),
    Point("journal-closing", "the journal is about to be closed", f"{JOURNAL}.close", "before"),
    # opening: lock, plan, configuration
    Point("reserved", "space is held back, nothing else done", "pipeline.ledger.reserve:Reserve.hold", "after"),
    Point("locked", "the lock is taken, nothing else done", f"{OUTPUT}:Output.lock", "after"),
    Point("rows-half-planned", "the row file lacks its end", f"{PLAN}:GenerationWriter.commit", "before"),
    Point("rows-planned", "the row file is whole, without its name", f"{PLAN}:publish", "before"),
    Point("rows-named", "the row file has its name, nothing refers to it", f"{PLAN}:create", "before"),
    Point("mid-record", "the record is written, without its name", LINK, "before", inside=f"{PLAN}:create"),
    Point("planned", "the plan has grown, the ledger does not know", f"{PLAN}:create", "after"),
    Point("first-plan", "a new output has a row file and no record", f"{PLAN}:create", "before", start="new"),
    Point("before-config", "a new output has a plan and no configuration", f"{OUTPUT}:create", "before", start="new"),
    Point("mid-config", "the configuration has both its names", LINK, "after", inside=f"{OUTPUT}:create"),
    Point("config", "the configuration is recorded", f"{OUTPUT}:create", "after", start="new"),
    Point("before-retiring", "shards are retired in the plan, not in the ledger", f"{LEDGER}.plan", "before"),
    # the way back
    Point("scratch-cleared", "half-written files are deleted", f"{OUTPUT}:Output.clear_scratch", "after"),
    Point("footers-read", "footers are read, the journal is not", RECOVER, "before"),
    Point("mid-replay", "half of the journal is replayed", SETTLER, "before", inside=RECOVER, nth=4),
    Point("restored", "the outcomes are restored, nothing committed", RECOVER, "after"),
    Point("before-recovered", "recovered rows wait for their part", COMMIT, "before", start="journaled"),
    Point("mid-recovery", "their part has rows and no footer", WRITE_TABLE, "after", inside=WRITE, start="journaled"),
    Point("recovered", "recovered rows are in their part", COMMIT, "after", start="journaled"),
    # the drain
    Point("drained", "the last call has ended, nothing is committed", COMMIT, "before", since=DRAIN, start="told"),
    Point("drain-committed", "a drain has committed, the journal is open", COMMIT, "after", since=DRAIN, start="told"),
)
# fmt: on

SMALL = {
    "pipeline.ledger.standing:PART_ROWS": 20,
    "pipeline.manifests.generation:SHARD_ROWS": 70,
    "pipeline.ledger.journal:Journal.__init__.__kwdefaults__.segment_bytes": 8 * 1024,
}
"""Bounds of the product made small, so that a short run has many parts, shards and segments."""


def named(name: str) -> Point:
    """The point of this name. Raises KeyError."""
    return {point.name: point for point in POINTS}[name]


def missing() -> list[str]:
    """The functions named here that the product does not have."""
    targets = {target for point in POINTS for target in (point.target, point.inside, point.since) if target}
    gone = []
    for target in sorted(targets | set(SMALL)):
        try:
            owner, name = _owner(target)
        except (ImportError, AttributeError):
            gone.append(target)
        else:
            gone += [target] * (name not in owner if isinstance(owner, dict) else not hasattr(owner, name))
    return gone


def set_small() -> None:
    """Set the bounds in `SMALL`. Raises AttributeError or KeyError when one is not there."""
    for target, value in SMALL.items():
        owner, name = _owner(target)
        if isinstance(owner, dict):
            owner[name] += value - owner[name]
        else:
            getattr(owner, name)
            setattr(owner, name, value)


def install(point: Point, nth: int, die: Callable[[], None]) -> None:
    """From now on the process dies at this point. Raises AttributeError when the product has no such function."""
    inside, since = threading.local(), threading.Event()
    if point.inside:
        _wrap(point.inside, lambda call, *values, **named: _within(inside, call, *values, **named))
    if point.since:
        _wrap(point.since, lambda call, *values, **named: _noting(since, call, *values, **named))
    guard, left = threading.Lock(), nth

    def counts(values: Any, named: Any) -> bool:
        nonlocal left
        if point.inside and not getattr(inside, "depth", 0):
            return False
        if (point.since and not since.is_set()) or (point.when and not point.when(*values, **named)):
            return False
        with guard:
            left -= 1
            return left == 0

    def passing(call: Callable[..., Any], *values: Any, **named: Any) -> Any:
        now = counts(values, named)
        if now and point.moment == "before":
            die()
        if now and point.moment == "half":
            call(values[0], values[1][: len(values[1]) // 2])
            die()
        result = call(*values, **named)
        if now:
            die()
        return result

    _wrap(point.target, passing)


def _within(inside: Any, call: Callable[..., Any], *values: Any, **named: Any) -> Any:
    inside.depth = getattr(inside, "depth", 0) + 1
    try:
        return call(*values, **named)
    finally:
        inside.depth -= 1


def _noting(since: threading.Event, call: Callable[..., Any], *values: Any, **named: Any) -> Any:
    since.set()
    return call(*values, **named)


def _wrap(target: str, around: Callable[..., Any]) -> None:
    owner, name = _owner(target)
    call = getattr(owner, name)
    if inspect.iscoroutinefunction(call) or inspect.isgeneratorfunction(call):
        raise TypeError(f"{target} does its work after it has returned: no point can be told from its call")
    setattr(owner, name, lambda *values, **named: around(call, *values, **named))


def _owner(target: str) -> tuple[Any, str]:
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    return owner, name
