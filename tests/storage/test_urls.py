"""Addresses as keys, rows and logs show them: the same picture has the same address, and no secret is in it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.storage.urls import named, public_url, read_url, unsigned_url

SIGNED = [
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SECRET%2F20261125&X-Amz-Date=20261125T000000Z&X-Amz-Expires=9"
    "&X-Amz-SignedHeaders=host&X-Amz-Security-Token=SECRET&X-Amz-Signature=SECRET",
    "AWSAccessKeyId=SECRET&Signature=SECRET%3D&Expires=1795339515",
    "Policy=SECRET__&Signature=SECRET~&Key-Pair-Id=SECRET",
    "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=SECRET&X-Goog-Signature=SECRET",
    "GoogleAccessId=SECRET%40x.iam&Expires=1&Signature=SECRET",
    "sv=2024-11-04&st=2026-11-25T00%3A00%3A00Z&se=2026-11-26T00%3A00%3A00Z&sr=b&sp=r&spr=https&sig=SECRET",
    "OSSAccessKeyId=SECRET&Expires=1&Signature=SECRET&security-token=SECRET",
    "q-sign-algorithm=sha1&q-ak=SECRET&q-sign-time=1;2&q-key-time=1;2&q-header-list=&q-url-param-list=&q-signature=SECRET",
    "hdnea=exp=1~hmac=SECRET",
    "token=SE?CRET;SECRET==",
    *(
        f"{name}=SECRET"
        for name in (
            *("token", "access_token", "auth_token", "api_key", "apikey", "api-key", "TOKEN", "Access_Token", "jwt"),
            *("auth", "secret", "client_secret", "password", "%74oken", "X-Amz-Signature", "x%2Damz%2Dsignature"),
        )
    ),
]


@pytest.mark.parametrize("signed", SIGNED)
def test_signing_parameters_go_and_all_else_stays(signed: str) -> None:
    assert public_url(f"https://h.example/a%2Fb.jpg?{signed}") == "https://h.example/a%2Fb.jpg"
    assert unsigned_url(f"https://me:word@h.example/a?{signed}&v=1#b?c") == "https://h.example/a?v=1#b?c"
    assert public_url(f"https://h.example/a?v=%31&{signed}&w=2&&x") == "https://h.example/a?v=%31&w=2&&x"
    assert public_url(f"/a.jpg?{signed}&v=1;w=2") == "/a.jpg?v=1;w=2"
    proxied = quote(f"https://s3.example/a?v=1&{signed}", safe="")
    expected = quote("https://s3.example/a?v=1", safe="")
    assert public_url(f"https://p.example/?w=640&url={proxied}&q=75") == f"https://p.example/?w=640&url={expected}&q=75"


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example",
        "https://h.example/",
        "https://h.example:8443/a%20b/ü.jpg?a=1&b=2;c=3&a=1",
        "https://h.example/a?sp=1&se=2&sr=3&st=4&sv=5",  # no `sig`: not Azure's
        "https://h.example/a?versionId=3&key=photos/1.jpg&id=7&tokens=3&page=2&sign=x&q-80",
        "https://h.example/a@2x.jpg?url=https%3a%2f%2fb.example%2fc%3fd%3d1",
        "https://[2001:db8::1]:80/a",
        "pictures/a@2x.jpg",
        "C:\\pictures\\a@b.jpg",
        "s3://bucket/a.jpg",
        "http://h.example/?",
        "",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(url: str) -> None:
    assert public_url(url) == url
    assert unsigned_url(url) == url
    if not url.startswith("s3:"):
        assert (public_url(f"{url}#part"), unsigned_url(f"{url}#part")) == (url, f"{url}#part")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:word@h.example:80/a#part?x", "https://h.example:80/a"),
        ("https://me@x:word@h.example/a", "https://h.example/a"),
        ("//me:word@h.example/a", "//h.example/a"),
        ("HTTP:me:word@h.example/a", "HTTP:h.example/a"),
        ("http:\\\\me:wo\\rd@h.example/a", "http:\\\\h.example/a"),
        ("  https://me:word@h.example/a", "  https://h.example/a"),
        ("s3://key:word@bucket/a", "s3://bucket/a"),
        ("https://h.example/a?token=1#f", "https://h.example/a"),
    ],
)
def test_user_name_password_and_fragment_go(url: str, shown: str) -> None:
    assert public_url(url) == shown


@given(st.text())
def test_any_text_may_be_given_and_twice_is_as_once(text: str) -> None:
    assert public_url(public_url(text)) == public_url(text)
    shown = named(text)
    assert len(shown) <= 300
    assert shown.encode().decode().splitlines() in ([], [shown]) or not shown.isascii()


@given(
    st.text(alphabet="abc%&=@:;$!+., é", max_size=12),
    st.lists(st.sampled_from(["a=1", "token=SECRET", "X-Amz-Date=SECRET", "b", "sig=SECRET", "se=SECRET"])),
)
def test_no_secret_is_left_wherever_it_stands(word: str, query: list[str]) -> None:
    if "se=SECRET" in query and "sig=SECRET" not in query:
        query = [*query, "sig=SECRET"]
    url = f"https://me:{word}SECRET@h.example/a?{'&'.join(query)}#SECRET"
    assert "SECRET" not in public_url(url)
    assert public_url(url).startswith("https://h.example/a")


def test_what_is_fetched_is_the_path_and_query_as_written() -> None:
    for rest in ("/a%2Fb%7E/c.jpg?x=%2B&y=a+b;z='[1]'", "/a//b;v=1/?", "/?x=1", "/%E2%82%AC", "/a?b=https://c/d?e=f"):
        assert str(read_url("https://h.example" + rest)) == "https://h.example" + rest
    assert str(read_url(" https://H.Example:443/ä b.jpg?q=é#top\n")) == "https://h.example/%C3%A4%20b.jpg?q=%C3%A9"
    assert str(read_url("http://me:word@a_b.example.:81/a")) == "http://a_b.example.:81/a"
    assert str(read_url("http://exämple.org?x")) == "http://xn--exmple-cua.org?x"


def test_a_message_about_an_address_shows_no_secret_and_no_line_break() -> None:
    with pytest.raises(ItemError) as caught:
        read_url("ftp://me:SECRET@h.example/a\r\nb?token=SECRET&c=" + "d" * 500)
    assert caught.value.message.startswith("ftp://h.example/a??b?c=ddd")
    assert "SECRET" not in caught.value.message
    assert len(caught.value.message) < 400
