"""Pictures and files in an object store: what is read, how often it is tried, and what is said when it fails."""

from __future__ import annotations

import asyncio
import importlib
import io
import random
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import ItemError, LedgerError, ManifestError
from pipeline.storage import door
from pipeline.storage.create_only import creates_only
from pipeline.storage.errand import PassingError
from pipeline.storage.object_names import ObjectAddress
from pipeline.storage.objects import Body, ObjectFetcher
from pipeline.storage.urls import public_url
from tests.support.moto_store import MotoStore
from tests.support.rude_server import Page, RudeServer, answer
from tests.support.virtual_time import run_virtual

URL = "s3://some-bucket/a.jpg"


class Source:
    """Gives its outcomes one after the other: an error, a hang (None), or what it says its size is and what comes."""

    def __init__(self, *outcomes: Exception | tuple[int, bytes] | None) -> None:
        self.outcomes = list(outcomes)
        self.asked = 0

    async def get(self, address: ObjectAddress) -> Body:
        self.asked += 1
        outcome = self.outcomes.pop(0)
        if outcome is None:
            await asyncio.sleep(3600)
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(outcome[1]), 3):
                yield outcome[1][start : start + 3]

        return Body(outcome[0], pieces())


def _fetched(source: Source, url: str = URL, **options: Any) -> Any:
    async def fetch() -> Any:
        try:
            return await ObjectFetcher(source=source, random_source=random.Random(1), **options).fetch(url, reserve)
        except PassingError:
            return "another attempt was left to the caller"
        except ItemError as error:
            return error.kind if error.meaning.stage == "fetch" else error

    async def reserve(size: int) -> None:
        reserved.append(size)
        await asyncio.sleep(300)

    reserved: list[int] = []
    result = run_virtual(fetch)
    return result, reserved


def test_what_may_pass_is_tried_three_times() -> None:
    busy = PassingError("fetch_failed", "busy", 503)
    source = Source(busy, (7, b"pic"), (7, b"picture"))
    assert _fetched(source) == (b"picture", [7, 7]), "a wait for memory is nobody's slowness"
    source = Source(busy, busy, busy, (7, b"picture"))
    assert (_fetched(source)[0], source.asked) == ("fetch_failed", 3)
    source = Source(ItemError("forbidden", "no", 403), (7, b"picture"))
    assert (_fetched(source)[0], source.asked) == ("forbidden", 1)
    assert _fetched(Source(None), deadline_s=60)[0] == "fetch_timeout"


def test_size_is_held_before_anything_is_reserved() -> None:
    assert _fetched(Source((8, b"12345678")), max_bytes=7) == ("too_large", [])
    assert _fetched(Source(*[(3, b"12345678")] * 3))[0] == "fetch_failed"


@pytest.mark.parametrize(
    "url", ["s3://bucket-1/", "s3://bucket-1/folder/", "s3://Bad bucket/a.jpg", "s3://k:secret@b/a"]
)
def test_what_names_no_object_is_not_found(url: str) -> None:
    source = Source()
    assert _fetched(source, url) == ("not_found", [])


def test_addresses_are_shown_as_they_are_without_secrets() -> None:
    assert public_url("s3://b/q#r?.jpg") == "s3://b/q#r?.jpg"
    assert public_url("s3://k:secret@b/a.jpg?X-Amz-Signature=secret") == "s3://b/a.jpg"
    assert public_url("abfss://c@acc.dfs.core.windows.net/a") == "abfss://c@acc.dfs.core.windows.net/a"


def _fetch(url: str) -> bytes | ItemError:
    async def fetch() -> bytes | ItemError:
        try:
            return await ObjectFetcher().fetch(url)
        except ItemError as error:
            return error

    return asyncio.run(fetch())


@pytest.mark.parametrize("key", ["a.jpg", "b c.jpg", "d%20e.jpg", "ü/+x.jpg", "q#r?.jpg", "[1]*.jpg"])
def test_every_name_is_read(bucket: MotoStore, key: str) -> None:
    assert _fetch(bucket.put(key, key.encode())) == key.encode()
    assert [name for name, _ in door.listed(bucket.url())] == [bucket.url(key)]


def test_small_and_large_objects_come_whole_and_only_the_first_of_a_bucket_takes_a_thread(
    bucket: MotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = importlib.import_module("pipeline.storage.objects")
    run_sync, hops = objects.run_sync, []

    async def counted(*arguments: Any) -> Any:
        hops.append(arguments)
        return await run_sync(*arguments)

    monkeypatch.setattr(objects, "run_sync", counted)
    contents = [random.Random(size).randbytes(size) for size in (1, 2**20, 2**20 + 1, 3 * 2**20 + 7)]

    async def fetch() -> list[bytes]:
        return [await ObjectFetcher().fetch(bucket.put(f"{len(content)}.jpg", content)) for content in contents]

    assert asyncio.run(fetch()) == contents
    assert len(hops) == 1


def test_what_is_missing_is_said_the_same_way_each_time(bucket: MotoStore) -> None:
    messages = {str(_fetch(bucket.url("gone.jpg"))) for _ in range(2)}
    assert messages == {f"there is nothing at {bucket.url('gone.jpg')}"}
    assert str(_fetch("s3://no-such-bucket/a.jpg")) == "there is no bucket s3://no-such-bucket/ in this store"


def _refused(page: Page, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[ItemError, int]:
    async def fetch() -> tuple[ItemError, int]:
        async with RudeServer({f"/{name}/a.jpg": page}) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url("/").rstrip("/"))
            with pytest.raises(ItemError) as caught:
                await ObjectFetcher().fetch(f"s3://{name}/a.jpg")
            return caught.value, len(server.visits)

    return asyncio.run(fetch())


@pytest.mark.parametrize(
    ("status", "code", "kind", "words", "visits"),
    [
        (403, "InvalidAccessKeyId", "forbidden", "the access key is not known there", 1),
        (403, "SignatureDoesNotMatch", "forbidden", "does not fit", 1),
        (400, "ExpiredToken", "forbidden", "have expired", 1),
        (301, "PermanentRedirect", "fetch_failed", "set AWS_REGION", 1),
        (503, "SlowDown", "fetch_failed", "answers 503 (SlowDown)", 3),
    ],
)
def test_refusals_are_short_and_tell_what_to_do(
    bucket: MotoStore, monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: str, words: str, visits: int
) -> None:
    body = f"<Error><Code>{code}</Code><Message>m</Message><RequestId>R-1</RequestId></Error>".encode()
    error, seen = _refused(answer(status, body), monkeypatch, f"refusing-{status}-{code.lower()}")
    assert (error.kind, seen) == (kind, visits)
    assert words in error.message
    assert "R-1" not in error.message
    assert "very-secret" not in error.message


def test_settings_that_cannot_work_are_named(bucket: MotoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(ManifestError, match="unless AWS_ALLOW_HTTP is true"):
        door.stat("s3://without-tls/a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(ManifestError, match="AWS_ENDPOINT_URL is no address"):
        door.stat("s3://no-endpoint/a")


def test_a_profile_needs_boto3_and_says_so(bucket: MotoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setitem(__import__("sys").modules, "obstore.auth.boto3", None)
    with pytest.raises(ManifestError, match="pip install boto3"):
        door.stat("s3://by-profile/a")


def test_tar_and_parquet_are_read_through_the_door(bucket: MotoStore) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(1000))}), file, row_group_size=100)
    with door.opened(bucket.put("x.parquet", file.getvalue())) as opened:
        assert pq.ParquetFile(opened).read_row_group(7)["n"].to_pylist() == list(range(700, 800))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("a.jpg")
        info.size = 7
        tar.addfile(info, io.BytesIO(b"picture"))
    with door.opened(bucket.put("x.tar", file.getvalue())) as opened, tarfile.open(fileobj=opened) as tar:
        member = tar.extractfile("a.jpg")
        assert member is not None
        assert member.read() == b"picture"


def test_a_file_that_changes_under_its_reader_is_an_error(bucket: MotoStore) -> None:
    with door.opened(bucket.put("x", b"old")) as opened:
        before = door.stat(bucket.url("x"))
        bucket.put("x", b"new")
        assert door.stat(bucket.url("x")).version != before.version
        with pytest.raises(OSError, match="was changed while it was being read"):
            opened.read()


def test_a_listing_goes_over_pages_in_order_and_leaves_out_what_is_none(bucket: MotoStore) -> None:
    names = [f"a/{number:04}.jpg" for number in range(1203)]
    for name in (*names, "a/.hidden.jpg", "a/_temporary/1.jpg", "a/_SUCCESS", "ab/1.jpg"):
        bucket.put(name, b"" if name.endswith("_SUCCESS") else b"x")
    assert [name for name, _ in door.listed(bucket.url("a"))] == [bucket.url(name) for name in names]
    assert [name for name, _ in door.listed(bucket.url("*/00[01]1.jpg"))] == [
        bucket.url(names[1]),
        bucket.url(names[11]),
    ]
    assert next(iter(door.listed(bucket.url("**/1.jpg"))))[0] == bucket.url("ab/1.jpg")
    with pytest.raises(ManifestError, match="there is no bucket s3://no-such-bucket/"):
        list(door.listed("s3://no-such-bucket/a"))


@pytest.mark.parametrize(("breaks", "whole"), [(2, True), (3, False)])
def test_a_listing_that_breaks_goes_on_where_it_was(
    bucket: MotoStore, monkeypatch: pytest.MonkeyPatch, breaks: int, whole: bool
) -> None:
    import obstore

    names = [bucket.put(f"{number}.jpg") for number in range(6)]
    really, offsets = obstore.list, []

    def breaking(store: Any, prefix: Any, *, offset: str | None = None, chunk_size: int) -> Any:
        offsets.append(offset)
        pages = really(store, prefix, offset=offset, chunk_size=2)
        if len(offsets) == 1:
            yield next(pages)
        if len(offsets) <= breaks:
            raise ConnectionError("broken off")
        yield from pages

    monkeypatch.setattr(obstore, "list", breaking)
    monkeypatch.setattr("pipeline.storage.object_files.FIRST_WAIT_S", 0)
    if whole:
        assert [name for name, _ in door.listed(bucket.url())] == names
    else:
        with pytest.raises(ManifestError, match="the connection broke"):
            list(door.listed(bucket.url()))
    assert offsets == [None, "1.jpg", "1.jpg"]


def test_a_bucket_that_overwrites_is_found_out(bucket: MotoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert creates_only(bucket.url("out"))
    assert bucket.keys() == [], "nothing is left behind"
    import obstore

    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, key, data, mode: put(store, key, data))
    assert not creates_only(bucket.url("out"))
    with pytest.raises(LedgerError, match="there is no bucket"):
        creates_only("s3://no-such-bucket/out")


GET_HEADERS = (("ETag", '"e"'), ("Last-Modified", "Wed, 25 Nov 2026 12:00:00 GMT"))


@pytest.mark.parametrize(
    ("url", "path", "env"),
    [
        ("gs://public/a.jpg", "/public/a%2Ejpg", {"GOOGLE_SKIP_SIGNATURE": "true"}),
        ("az://public/a.jpg", "/public/a.jpg", {"AZURE_SKIP_SIGNATURE": "true", "AZURE_STORAGE_ACCOUNT_NAME": "acc"}),
        ("abfss://public@acc.dfs.core.windows.net/a.jpg", "/public/a.jpg", {"AZURE_SKIP_SIGNATURE": "true"}),
    ],
)
def test_other_stores_are_read(monkeypatch: pytest.MonkeyPatch, url: str, path: str, env: dict[str, str]) -> None:
    object_stores = importlib.import_module("pipeline.storage.object_stores")
    monkeypatch.setattr(object_stores, "_stores", {})
    for name, value in {**env, "GOOGLE_ALLOW_HTTP": "true", "AZURE_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)

    async def fetch() -> bytes:
        async with RudeServer({path: answer(200, b"picture", GET_HEADERS)}) as server:
            for name in ("GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT"):
                monkeypatch.setenv(name, server.url("/").rstrip("/"))
            return await ObjectFetcher().fetch(url)

    assert asyncio.run(fetch()) == b"picture"


@pytest.mark.parametrize(
    "host",
    ["localhost:1#", "2130706433:1?", "u:p@localhost:1#", "acc.evil.example", "acc", "acc.dfs.core.windows.net@x"],
)
def test_a_manifest_cannot_choose_where_an_azure_key_goes(host: str) -> None:
    with pytest.raises(ItemError, match=r"names no (Azure account|bucket)"):
        asyncio.run(ObjectFetcher().fetch(f"abfss://con@{host}/x.png"))
