"""Names in buckets that nobody would choose: read and listed as they are, or told in words that fit."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.core.errors import ItemError, ManifestError
from pipeline.storage import door
from pipeline.storage.objects import ObjectFetcher
from tests.support.moto_store import MotoStore

READ = [" a.jpg", "t /x.jpg", "ä ö.jpg", "e\u0301.jpg", "a?b#c%20d.jpg", "a\\b.jpg", "a..b.jpg", "k" * 1018 + ".jpg"]


def fetched(url: str) -> bytes | str:
    async def fetch() -> bytes | str:
        try:
            return await ObjectFetcher().fetch(url)
        except ItemError as error:
            return f"{error.kind}: {error.message}"

    return asyncio.run(fetch())


@pytest.mark.parametrize("key", READ)
def test_odd_names_are_listed_and_read(bucket: MotoStore, key: str) -> None:
    url = bucket.put_raw(f"p/{key}", key.encode())
    assert [name for name, _ in door.listed(bucket.url("p/"))] == [url]
    assert fetched(url) == key.encode()
    assert door.stat(url).size == len(key.encode())


@pytest.mark.parametrize("key", ["a//b.jpg", "/lead.jpg", "x/../y.jpg", "./z.jpg"])
def test_names_that_cannot_be_read_fail_their_row(bucket: MotoStore, key: str) -> None:
    url = bucket.put_raw(f"p/{key}")
    assert fetched(url) == f"not_found: {url} cannot be read: a part of its name is empty, . or .."


def test_an_empty_part_below_a_prefix_is_named(bucket: MotoStore) -> None:
    for key in ("p/odd//b.jpg", "p/good/a.jpg"):
        bucket.put_raw(key)
    with pytest.raises(
        ManifestError, match=r"/p: the name of an object there has an empty part \(//\).* a glob"
    ) as caught:
        list(door.listed(bucket.url("p/")))
    assert "credentials" not in str(caught.value)
    assert "endpoint" not in str(caught.value)
    assert [name for name, _ in door.listed(bucket.url("p/good/*.jpg"))] == [bucket.url("p/good/a.jpg")]


def test_a_folder_is_no_picture(bucket: MotoStore) -> None:
    url = bucket.put_raw("p/folder/", b"")
    assert fetched(url) == f"not_found: {url} is a folder and no picture"
    assert list(door.listed(bucket.url("p/"))) == []
