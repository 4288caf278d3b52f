"""Error bodies in every shape, made fit for a log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.providers.complaint import Complaint, complaint, fit, without_key, without_signatures
from tests.providers.examples import KEY


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


ESCAPED = "sk/se+cret==0123"


@pytest.mark.parametrize(
    "written",
    [
        "sk/se+cret==0123",
        "sk\\/se+cret==0123",  # PHP
        "sk/se\\u002Bcret==0123",  # .NET
        "sk\\u002fse\\u002bcret\\u003d\\u003d0123",
        "sk\\\\/se\\\\u002bcret==0123",  # JSON quoted in JSON
    ],
)
def test_a_key_is_found_however_json_writes_it(written: str) -> None:
    body = f'{{"error":"Bearer {written} is \\"wrong\\", and {written}"}}'.encode()
    kept = without_key(body, ESCAPED)
    assert json.loads(kept) == {"error": 'Bearer [key] is "wrong", and [key]'}
    assert without_key(body, KEY) == body, "another's is left"


def test_a_key_of_odd_characters_is_no_pattern() -> None:
    odd = 'a.c*(["\\x+/'
    assert without_key(json.dumps(odd).encode(), odd) == b'"[key]"'
    assert without_key(b"abc*", odd) == b"abc*"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            b'{"error":"cannot load https://host/a.jpg?X-Amz-Signature=secret"}',
            b'{"error":"cannot load https://host/a.jpg"}',
        ),
        (b'"https:\\/\\/me:secret@host\\/a.jpg?w=1\\u0026sig=secret" is gone', b'"https://host/a.jpg?w=1" is gone'),
        (b'{"message":"GET \\"http://h/x?token=secret\\" failed"}', b'{"message":"GET \\"http://h/x\\" failed"}'),
        (b"no address at all: http:/ and https", b"no address at all: http:/ and https"),
    ],
)
def test_what_signs_an_address_is_not_repeated(said: bytes, kept: bytes) -> None:
    assert without_signatures(said) == kept
