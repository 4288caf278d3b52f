"""Signed addresses: whoever has one has the picture, so no trace of a signature may stay, whatever becomes of a run.

A run over signed addresses of every maker, some of which fail, is killed half way and goes on with fresh ones.
"""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.command import Ended, Job, until
from tests.manifests.tables import parquet
from tests.support import scripts
from tests.support.exchange import Reply, Request
from tests.support.fake_server import FakeServer
from tests.support.moto_store import MotoStore
from tests.support.pictures import not_a_picture, picture
from tests.support.rude_server import RudeServer, answer, in_a_thread, redirect

STORED, OTHERS = 24, 3
"""Pictures behind addresses signed for the store, and behind those of every other kind."""

SIGNED = [
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={0}%2F20261125&X-Amz-Expires=9&X-Amz-Signature={0}",
    "sv=2024-11-04&se=2026-11-26&sr=b&sp=r&sig={0}%3D",
    "Policy={0}__&Signature={0}~&Key-Pair-Id={0}",
    "token={0}",
    "v=2&X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={0}&X-Goog-Signature={0}",
    "AWSAccessKeyId={0}&Signature={0}%3D&Expires=1795339515",
]
"""What makers of signed addresses put behind the question mark; {0} is secret."""


class Signer:
    """Signs the same addresses again and again, each time with other secrets; `secrets` are all that it gave out."""

    def __init__(self, bucket: MotoStore, web: RudeServer, closed_port: int) -> None:
        self._bucket, self._web, self._closed = bucket, web, closed_port
        self._times = 0
        self.secrets: list[str] = []

    def rows(self) -> list[tuple[str, str]]:
        """Name and freshly signed address of every row; names that begin with `bad` have no picture."""
        self._times += 1
        # Those that fail come first, so that they have failed when the run is killed.
        return [*self._bad(), *self._good()]

    def _good(self) -> Iterator[tuple[str, str]]:
        for number in range(STORED):
            yield f"stored-{number}", self._stored(f"a b/{number}.jpg")
        for maker, query in enumerate(SIGNED):
            for number in range(OTHERS):
                yield f"maker-{maker}-{number}", self._of(f"/good/{maker}-{number}.jpg?{query}")
        for number in range(OTHERS):
            yield f"user-{number}", self._of(f"/good/user-{number}.jpg", before="me:{0}@")
            inner = quote(self._of(f"/good/inner-{number}.jpg?w=1&token={{0}}"), safe="")
            yield f"inner-{number}", self._web.url(f"/good/inner-{number}.jpg?url={inner}")

    def _bad(self) -> Iterator[tuple[str, str]]:
        yield "bad-stored", self._stored("gone.jpg")
        for maker, query in enumerate(SIGNED):
            for page in ("gone", "forbidden", "page", "moved"):
                yield f"bad-{page}-{maker}", self._of(f"/{page}/{maker}.jpg?{query}")
        for maker, query in enumerate(SIGNED[:2]):  # those that are tried three times
            yield f"bad-down-{maker}", self._of(f"/down/{maker}.jpg?{query}")
            refused = self._of(f"/{maker}.jpg?{query}").replace(f":{self._web.port}/", f":{self._closed}/")
            yield f"bad-refused-{maker}", refused
        yield "bad-scheme", self._of("/a.jpg?token={0}", before="me:{0}@", scheme="ftp")
        yield "bad-host", self._of("/a.jpg?token={0}", before="me:{0}@").replace("127.0.0.1", "127.0.0.1.999")
        yield "bad-object", self._secretly(self._bucket.url("gone.jpg?X-Amz-Signature={0}"))
        yield "bad-bucket", self._secretly("s3://me:{0}@no-such-bucket/a.jpg")

    def _stored(self, key: str) -> str:
        address = self._bucket.signed(key, 600 + self._times)
        self.secrets += parse_qs(urlsplit(address).query)["X-Amz-Signature"]
        return address

    def _of(self, path: str, *, before: str = "", scheme: str = "http") -> str:
        return self._secretly(self._web.url(path, host=f"{before}127.0.0.1", scheme=scheme))

    def _secretly(self, address: str) -> str:
        secret = f"hushhush{self._times}x{len(self.secrets):04}"
        self.secrets.append(secret)
        return address.replace("{0}", secret)


PASSING = ("bad-refused", "bad-down")
"""Failures that the next run tries again."""


@pytest.fixture
def signer(bucket: MotoStore) -> Iterator[Signer]:
    for number in range(STORED):
        bucket.put(f"a b/{number}.jpg", picture(number))
    pages = {
        "/forbidden/": answer(403, b"no"),
        "/page/": answer(200, not_a_picture()),
        "/down/": answer(503, b"later"),
        "/moved/": redirect("/gone/elsewhere.jpg?X-Amz-Signature=hushhush-elsewhere"),
    }
    makers = [*map(str, range(len(SIGNED))), "user", "inner"]
    names = [f"/good/{maker}-{number}.jpg" for maker in makers for number in range(OTHERS)]
    contents = {name: picture(1000 + seed) for seed, name in enumerate(names)}

    async def good(visit: Any, writer: Any) -> None:
        content = contents[visit.path.partition("?")[0]]
        await answer(200, content, (("Content-Type", "image/jpeg"),))(visit, writer)

    with socket.socket() as unheard, in_a_thread(RudeServer({**pages, "/good/": good})) as web:
        unheard.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can have the port
        signer = Signer(bucket, web, unheard.getsockname()[1])
        signer.secrets.append("hushhush-elsewhere")
        yield signer


def write(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    names, addresses = [name for name, _ in rows], [address for _, address in rows]
    if path.suffix == ".parquet":
        return parquet(path, {"id": names, "url": addresses, "more": pa.array([[one, None] for one in addresses])})
    records = [{"id": name, "url": url, "more": {"of": [url]}} for name, url in rows]
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def decoded(path: Path) -> str:
    """What a reader of a file finds in it."""
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        return f"{file.metadata.metadata}{file.schema_arrow}{file.metadata.to_dict()}{file.read().to_pylist()}"
    if path.suffix == ".rows":
        with pa.memory_map(str(path)) as source:
            return str(pa.ipc.open_file(source).read_all().to_pylist())
    return ""


def found(out: Path, *ended: Ended) -> str:
    """All that a run has left, as it lies there and decoded."""
    files = [path for path in out.rglob("*") if path.is_file()]
    raw = [path.read_bytes().strip(b"\0").decode("latin-1") for path in files]  # the reserve is nothing but zeros
    return "\n".join([*map(str, files), *raw, *map(decoded, files), *(one.stdout + one.stderr for one in ended)])


def assert_unsigned(everything: str, signer: Signer) -> None:
    for secret in signer.secrets:
        assert secret not in everything
    assert "hushhush" not in everything
    assert not re.search(r"x-amz-|x-goog-|[?&](sig|token|signature|awsaccesskeyid)=", everything, re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("list.jsonl.gz", {}),
        ("list.parquet", {"key": "url", "keep": ["url", "more", "id"]}),
    ],
)
def test_a_run_over_signed_addresses_leaves_no_signature(
    name: str, tables: dict[str, Any], signer: Signer, tmp_path: Path, fake_server: FakeServer
) -> None:
    job = Job(tmp_path, tmp_path / name, fake_server.base_url, limits={"concurrency": 4})
    job.manifest_ = {"allow_private": True, **tables}
    job.tasks = [{"kind": "caption", "context": ["url"]}] if "keep" in tables else job.tasks
    rows = signer.rows()
    write(job.manifest, rows)
    good = sum(not name.startswith("bad") for name, _ in rows)
    half = good // 2
    whole = scripts.caption()
    fake_server.script = lambda request: whole(request) if fake_server.answered < half else Reply(hang=True)
    with job.start("--verbose") as running:
        until(lambda: len(job.kept_answers() - {""}) >= half, "answers")
        until(lambda: fake_server.in_flight, "requests that get no answer")
        running.signal(signal.SIGKILL)
        killed = running.end()
    assert killed.code == -signal.SIGKILL
    assert_unsigned(found(job.out, killed), signer)

    fake_server.script = whole
    rows = signer.rows()
    write(job.manifest, rows)
    resumed = job.run("--verbose")
    assert resumed.code == 0, resumed.stderr
    assert len(job.rows()) == good
    assert len(job.failures()) == len(rows) - good
    paid = Counter(line["image_sha256"] for line in fake_server.answers())
    assert (len(paid), set(paid.values())) == (good, {1}), "no answer is bought twice"

    calls, rows = fake_server.total, signer.rows()
    write(job.manifest, rows)
    again = job.run("--verbose")
    assert (again.code, fake_server.total) == (0, calls), again.stderr
    assert again.event("run.started")["to_do"] == sum(name.startswith(PASSING) for name, _ in rows)
    looks = [job.command("status"), job.command("verify")]
    assert [look.code for look in looks] == [0, 0]
    assert_unsigned(found(job.out, killed, resumed, again, *looks), signer)
    assert set(job.kinds().values()) == {
        "not_found",
        "forbidden",
        "not_an_image",
        "fetch_failed",
        "bad_row",
        "blocked_address",
    }
    if "keep" in tables:
        assert all(row["url" if "url" in row else "source_url"] == row["key"] for row in job.rows())


def test_a_server_that_quotes_the_address_which_it_refuses(
    signer: Signer, tmp_path: Path, fake_server: FakeServer
) -> None:
    """With `send = "url"` the signature goes out, and comes back in the server's complaint."""

    def complaining(request: Request) -> Reply:
        for part in request.field("messages")[-1]["content"]:
            if (address := part.get("image_url", {}).get("url", "")).startswith("http"):
                words = f"I will not look at {address} at all"
                return scripts.error(400, words, code="content_policy_violation")(request)
        return scripts.caption()(request)

    fake_server.script = complaining
    rows = [row for row in signer.rows() if row[0].startswith("maker")]
    path = write(tmp_path / "list.jsonl", rows)
    job = Job(tmp_path, path, fake_server.base_url, provider={"dialect": "vllm"}, images={"send": "url"})
    job.manifest_, job.run_ = {"allow_private": True}, {"max_failure_share": 1.0}
    ended = job.run("--verbose")
    assert ended.code == 0, ended.stderr
    failures = job.failures()
    assert len(failures) == len(rows)
    assert all(f"will not look at {row['key']} " in row["message"] for row in failures)
    assert_unsigned(found(job.out, ended), signer)
