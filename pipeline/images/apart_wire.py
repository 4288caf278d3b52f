"""What goes over the pipes between a run and a child that decodes for it.

A frame is two lengths (big-endian, 4 bytes for the header, 8 for the body), a header in JSON, and a body of raw bytes.
The child decodes hostile bytes, so the run believes nothing that it says: no pickle, every number and name is checked,
and an answer that is odd in any way counts as a crash.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from pipeline.core.errors import KINDS, ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.rules import ServerRules

SIZES = struct.Struct(">IQ")
"""Bytes of the header and of the body, in front of every frame."""

MAX_HEADER = 1 << 20
"""Bytes. Two hundred pages take a tenth of it."""

EXHAUSTED = 77
"""Exit status of a child that ran out of memory. Its heap is in pieces: it does not go on."""

_MIME = re.compile(r"image/[a-z0-9.+-]{1,40}")
_NUMBERS = ("bytes", "width", "height", "sent_width", "sent_height")
_NAMES = {"mime", "tokens", *_NUMBERS}
_MOST = 1 << 31
"""Of any of these numbers."""


class OddAnswerError(ValueError):
    """A child said something that no child of ours says."""


def framed(header: Mapping[str, Any], *bodies: bytes) -> tuple[bytes, ...]:
    """The buffers of a frame, in order; the bodies are not copied."""
    text = json.dumps(header).encode()
    return (SIZES.pack(len(text), sum(map(len, bodies))) + text, *bodies)


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next header and body, None where the other side has closed. Raises MemoryError."""
    sizes = stream.read(SIZES.size)
    if len(sizes) < SIZES.size:
        return None
    header_bytes, body_bytes = SIZES.unpack(sizes)
    header, body = stream.read(header_bytes), stream.read(body_bytes)
    if len(header) < header_bytes or len(body) < body_bytes:
        return None
    return json.loads(header), body


def job(source: bytes, contract: ImageContract, rules: ServerRules, cpu_s: float, wall_s: float) -> tuple[bytes, ...]:
    """A request's buffers: prepare `source`, in at most so many seconds of computing and by the clock."""
    described = {"contract": asdict(contract), "rules": {**asdict(rules), "accepts": sorted(rules.accepts)}}
    return framed({**described, "cpu_s": cpu_s, "wall_s": wall_s}, source)


def read_job(header: Mapping[str, Any]) -> tuple[ImageContract, ServerRules, float, float]:
    """What `job` has put into a header."""
    rules = {**header["rules"], "accepts": frozenset(header["rules"]["accepts"])}
    return ImageContract(**header["contract"]), ServerRules(**rules), header["cpu_s"], header["wall_s"]


def pages(images: Sequence[PreparedImage]) -> tuple[bytes, ...]:
    """An answer's buffers: the prepared pages."""
    described = [
        {
            "bytes": len(image.data),
            "mime": image.mime,
            "width": image.width,
            "height": image.height,
            "sent_width": image.sent_width,
            "sent_height": image.sent_height,
            "tokens": image.tokens,
        }
        for image in images
    ]
    return framed({"pages": described}, *(image.data for image in images))


def failure(error: ItemError) -> tuple[bytes, ...]:
    """An answer's buffers: why there is no page."""
    return framed({"kind": error.kind, "message": error.message})


def read_answer(header: bytes, body: memoryview) -> tuple[PreparedImage, ...]:
    """The pages in an answer. Raises the ItemError that it tells of, and OddAnswerError."""
    try:
        said = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise OddAnswerError("no JSON") from error
    if not isinstance(said, dict):
        raise OddAnswerError("no object")
    if said.keys() == {"kind", "message"}:
        raise _told(said["kind"], said["message"])
    if said.keys() != {"pages"} or not isinstance(said["pages"], list) or not said["pages"]:
        raise OddAnswerError("neither pages nor a failure")
    images, begin = [], 0
    for page in said["pages"]:
        size, width, height, sent_width, sent_height = _numbers(page)
        data = bytes(body[begin : begin + size])
        images.append(PreparedImage(data, page["mime"], width, height, sent_width, sent_height, page["tokens"]))
        begin += size
    if begin != len(body):
        raise OddAnswerError("pages of another length than the body")
    return tuple(images)


def _told(kind: object, message: object) -> ItemError:
    known = isinstance(kind, str) and kind in KINDS and (KINDS[kind].stage == "prepare" or kind == "image_rejected")
    if not known or not isinstance(message, str) or not 0 < len(message) <= 2000:
        raise OddAnswerError("no failure of preparing")
    return ItemError(str(kind), message)


def _numbers(page: object) -> list[int]:
    """A page's length in bytes and its four sides, all of what describes it being in order."""
    if not isinstance(page, dict) or page.keys() != _NAMES:
        raise OddAnswerError("no page")
    if not isinstance(page["mime"], str) or not _MIME.fullmatch(page["mime"]):
        raise OddAnswerError("no type")
    if page["tokens"] is not None and not _within(page["tokens"], 0):
        raise OddAnswerError("no tokens")
    if not all(_within(page[name], 1) for name in _NUMBERS):
        raise OddAnswerError("no size")
    return [page[name] for name in _NUMBERS]


def _within(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= _MOST  # True is an int too
