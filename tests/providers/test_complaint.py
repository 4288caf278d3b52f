"""Error bodies in every shape, made fit for a log; and how long a server asks to wait."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.providers.complaint import Complaint, complaint, fit, retry_after
from tests.providers.examples import KEY

NOW = 1_795_339_515.0  # Sun, 22 Nov 2026 09:25:15 GMT


@pytest.mark.parametrize(
    ("body", "codes", "message"),
    [
        ({"error": {"message": "m", "type": "T", "param": None, "code": "C"}}, {"t", "c"}, "m"),
        ({"error": {"message": "m", "type": "T", "code": 400}}, {"t", "400"}, "m"),
        ({"error": {"message": "m", "type": None, "code": "429"}}, {"429"}, "m"),
        ({"error": {"object": "error", "type": "t", "code": "c", "message": "m"}}, {"t", "c"}, "m"),
        ({"object": "error", "message": "m", "type": "BadRequest", "code": 400}, {"badrequest", "400"}, "m"),
        ({"error": "Unauthorized"}, set(), "Unauthorized"),
        ({"error": "Too Many Requests", "message": "slower"}, set(), "slower"),
        ({"code": 5, "message": "m", "details": []}, {"5"}, "m"),
        ({"detail": "Not Found"}, set(), "Not Found"),
        ({"detail": [{"loc": [1], "msg": "a", "type": "x"}, {"msg": "b"}, 3]}, set(), "a; b"),
        ([{"error": {"message": "m", "status": "UNAVAILABLE"}}], {"unavailable"}, "m"),
        ("just text", set(), "just text"),
        ({"error": None}, set(), ""),
        ({"error": {"message": {"nested": 1}}}, set(), ""),
        ({"message": "\ud800"}, set(), "\ufffd"),
        ([], set(), ""),
        (7, set(), ""),
    ],
)
def test_shapes_in_json(body: Any, codes: set[str], message: str) -> None:
    assert complaint(json.dumps(body).encode()) == Complaint(frozenset(codes), message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"Internal Server Error", "Internal Server Error"),
        (b"<html><head><TITLE>502 Bad Gateway</TITLE></head><body>nginx</body></html>", "502 Bad Gateway"),
        (b"<h1>Too large</h1>", " Too large "),
        (b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n', "overloaded"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_shapes_that_are_not_json(body: bytes, message: str) -> None:
    assert complaint(body) == Complaint(frozenset(), message)


def test_a_message_is_one_line_of_three_hundred_characters() -> None:
    assert fit("a\n  b\t c", None) == "a b c"
    assert fit("word " * 100, None) == ("word " * 100)[:297] + "..."


def test_a_message_has_no_key_no_base64_and_no_address() -> None:
    assert fit(f"you sent {KEY}, wrong", KEY) == "you sent [key], wrong"
    assert fit("bad url data:image/png;base64," + "iVBORw0K" * 40, None) == "bad url data:image/png;base64,[...]"
    assert fit("<_io.BytesIO object at 0x7f3a2c0b1d50>", None) == "<_io.BytesIO object>"
    assert fit("max_tokens is none", "none") == "max_tokens is none"


def test_a_key_at_the_cut_is_gone_too() -> None:
    assert "sk-" not in fit("x " * 145 + KEY, KEY)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:25:45 GMT"}, 30.0),
        ({"retry-after": "Sun Nov 22 09:25:45 2026"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:25:45 +0100"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2020 09:25:45 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2999 09:25:45 GMT"}, 3600.0),
        ({"retry-after": "86400"}, 3600.0),
        ({"llm_provider-retry-after": "60"}, 60.0),
        ({"retry-after": "?", "llm_provider-retry-after": "60"}, 60.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 09:25:45 GMT"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_waits(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_a_date_counts_from_now() -> None:
    assert retry_after({"retry-after": "Sun, 22 Nov 2020 09:25:45 GMT"}) == 0.0


@given(st.text())
def test_any_wait_is_within_an_hour_or_ignored(value: str) -> None:
    seconds = retry_after({"retry-after": value, "retry-after-ms": value}, NOW)
    assert seconds is None or 0 <= seconds <= 3600
