"""What a child says is believed only where it could be true."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import PreparedImage
from pipeline.images import apart_wire as wire

PAGE = {"bytes": 3, "mime": "image/png", "width": 9, "height": 8, "sent_width": 7, "sent_height": 6, "tokens": 5}
IMAGE = PreparedImage(b"abc", "image/png", 9, 8, 7, 6, 5)


def _read(header: object, body: bytes = b"abc") -> tuple[PreparedImage, ...]:
    return wire.read_answer(json.dumps(header).encode(), memoryview(body))


def test_pages_come_over_in_order() -> None:
    images = (IMAGE, PreparedImage(b"defgh", "image/jpeg", 1, 2, 3, 4, None))
    received = wire.read_frame(io.BytesIO(b"".join(wire.pages(images))))
    assert received is not None
    assert _read(*received) == images


def test_a_failure_comes_over() -> None:
    received = wire.read_frame(io.BytesIO(b"".join(wire.failure(ItemError("too_small", "tiny — 1 x 1")))))
    assert received is not None
    with pytest.raises(ItemError) as caught:
        _read(*received)
    assert (caught.value.kind, caught.value.message, caught.value.status) == ("too_small", "tiny — 1 x 1", None)


@pytest.mark.parametrize("cut", [0, 5, 12, 20, -1])
def test_a_frame_that_ends_early_is_the_end(cut: int) -> None:
    whole = b"".join(wire.pages((IMAGE,)))
    assert wire.read_frame(io.BytesIO(whole[:cut])) is None


@pytest.mark.parametrize(
    "header",
    [
        {},
        [],
        "pages",
        {"pages": []},
        {"pages": {}},
        {"pages": None},
        {"pages": [PAGE], "more": 1},
        {"pages": [[]]},
        {"pages": [{}]},
        {"pages": [PAGE, PAGE]},
        {"pages": [{**PAGE, "more": 1}]},
        *(
            {"pages": [{**PAGE, name: value}]}
            for name in ("bytes", "width", "height", "sent_width", "sent_height")
            for value in (0, -1, 1.5, True, None, "7", 1 << 40)
        ),
        {"pages": [{**PAGE, "bytes": 2}]},
        {"pages": [{**PAGE, "bytes": 4}]},
        *({"pages": [{**PAGE, "tokens": value}]} for value in (-1, 1.5, True, "5", 1 << 40)),
        *({"pages": [{**PAGE, "mime": value}]} for value in ("text/html", "image/png\n", "image/", 'image/png"', 5)),
        {"kind": "unreadable"},
        {"kind": "unreadable", "message": ""},
        {"kind": "unreadable", "message": "x" * 3000},
        {"kind": "unreadable", "message": 5},
        {"kind": "unreadable", "message": "m", "pages": [PAGE]},
        {"kind": "no_such_kind", "message": "m"},
        {"kind": "timeout", "message": "a kind of another stage"},
        {"kind": ["unreadable"], "message": "m"},
    ],
    ids=str,
)
def test_what_no_child_of_ours_says_is_odd(header: Any) -> None:
    with pytest.raises(wire.OddAnswerError):
        _read(header)


@pytest.mark.parametrize("header", [b"", b"\xff", b"{", b"[" * 200_000, b'{"pages": ' + b"9" * 5000 + b"}"])
def test_a_header_that_is_no_json_is_odd(header: bytes) -> None:
    with pytest.raises(wire.OddAnswerError):
        wire.read_answer(header, memoryview(b""))
