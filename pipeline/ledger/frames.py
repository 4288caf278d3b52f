"""The journal's wire format: one frame an event, each whole or not there.

    "VLJ" + version (1 byte) | header length u32 | body length u32 | crc32 u32 of header and body | header | body

All numbers little-endian. The header is JSON (the frame without its body), the body is the answer as received.
A frame carries all that its row needs, so that recovery reads neither the manifest nor the pictures.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.outcomes import Frame, Problem
from pipeline.core.types import Facts, RowId

MAGIC = b"VLJ\x01"
_LENGTHS = struct.Struct("<4sIII")
ERROR_BODY_BYTES = 4096
"""How much of an error's body is kept."""


def encode(frame: Frame) -> bytes:
    """The frame's bytes."""
    values: dict[str, Any] = {
        "task": frame.row.task,
        "shard": frame.row.shard,
        "ordinal": frame.row.ordinal,
        "facts": frame.facts,  # orjson writes dataclasses as objects, ten times faster than by asdict
        "attempts": frame.attempts,
        "status": frame.status,
        "received_at": frame.received_at,
        "latency_ms": frame.latency_ms,
        "request_id": frame.request_id,
        "run_id": frame.run_id,
        "problem": frame.problem,
    }
    if frame.problem is not None:
        values |= {"ended": frame.ended, "failed": frame.failed, "next_try_at": frame.next_try_at}
    if frame.copy_of is not None:
        values |= {"copy_of": [*frame.copy_of], "dedup_of": frame.dedup_of}
    if frame.notes:
        values["notes"] = dict(frame.notes)
    header = orjson.dumps(values)
    body = frame.body if frame.problem is None else frame.body[:ERROR_BODY_BYTES]
    checksum = zlib.crc32(body, zlib.crc32(header))
    return b"".join((_LENGTHS.pack(MAGIC, len(header), len(body), checksum), header, body))


@dataclass(frozen=True, slots=True)
class Replay:
    """The true prefix of a segment: `frames` readable frames in `good_bytes` of `total_bytes`.

    `damaged` tells a hole (a bad frame with good ones behind it) from a torn tail, which every crash leaves.
    """

    frames: int
    good_bytes: int
    total_bytes: int
    damaged: bool


def replay(path: Path) -> Iterator[Frame | Replay]:
    """Every frame of the valid prefix in order, then one `Replay`. Memory: one segment."""
    data = path.read_bytes()
    position = frames = 0
    while (found := _frame_at(data, position)) is not None:
        frame, position = found
        frames += 1
        yield frame
    yield Replay(frames, position, len(data), _good_frame_behind(data, position))


def _frame_at(data: bytes, position: int) -> tuple[Frame, int] | None:
    if position + _LENGTHS.size > len(data):
        return None
    magic, header_size, body_size, checksum = _LENGTHS.unpack_from(data, position)
    start = position + _LENGTHS.size
    end = start + header_size + body_size
    # A header of no bytes has the checksum 0: a page of zeros behind a torn frame's first bytes would pass for a frame.
    if magic != MAGIC or header_size == 0 or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[start:end]) != checksum:
        return None
    return _decode(data[start : start + header_size], data[start + header_size : end]), end


def _decode(header: bytes, body: bytes) -> Frame:
    values = orjson.loads(header)
    problem, copy_of = values["problem"], values.get("copy_of")
    return Frame(
        row=RowId(values["task"], values["shard"], values["ordinal"]),
        facts=Facts(**{"pages": 1, **values["facts"]}),  # before pages were counted there was one
        attempts=values["attempts"],
        status=values["status"],
        received_at=values["received_at"],
        latency_ms=values["latency_ms"],
        request_id=values["request_id"],
        run_id=values["run_id"],
        body=body,
        problem=Problem(**problem) if problem else None,
        ended=values.get("ended", True),
        failed=values.get("failed", 0),
        next_try_at=values.get("next_try_at"),
        copy_of=RowId(*copy_of) if copy_of else None,
        dedup_of=values.get("dedup_of"),
        notes=values.get("notes", {}),
    )


def _good_frame_behind(data: bytes, position: int) -> bool:
    candidate = data.find(MAGIC, position + 1)
    while candidate >= 0:
        if _frame_at(data, candidate) is not None:
            return True
        candidate = data.find(MAGIC, candidate + 1)
    return False
