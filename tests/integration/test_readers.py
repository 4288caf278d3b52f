"""The way back from an output to the pictures: a WebDataset loader over the source joined by key, and every reader."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.integration.command import Job
from tests.integration.readers import pairs_by_reader, samples
from tests.manifests.tars import write_tar
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

SHARDS, ROWS = 3, 12


def shards(folder: Path, field: str) -> str:
    """Tars with folders and dots in their names; of each the third picture is broken and the fourth sample has none."""
    for shard in range(SHARDS):
        entries = []
        for number in range(ROWS):
            name = ("{}", "deep/{}", "v1.0/ä b/{}", "./{}")[number % 4].format(f"{shard:03}{number:04}")
            content = b"no picture" if number == 2 else picture(shard * ROWS + number)
            members = [(f"{name}.json", b'{"n": %d}' % number), (f"{name}.seg.txt", b"text")]
            entries += members if number == 3 else [(f"{name}.{field}", content), *members]
        write_tar(folder / f"set-{shard:06}.tar", *entries)
    return f"{folder}/set-{{000000..{SHARDS - 1:06}}}.tar"


def hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("field", ["jpg", "v2.jpg"])
def test_a_loader_over_the_tars_and_every_reader_of_the_output_find_the_same_pairs(
    tmp_path: Path, fake_server: FakeServer, field: str
) -> None:
    urls = shards(tmp_path, field)
    source = samples(urls)
    seen = {sample["__key__"] for sample in source}
    refused = {sample["__key__"]: hashed(sample[field]) for sample in source if sample["__key__"].endswith("0007")}
    fake_server.script = scripts.by_picture(dict.fromkeys(refused.values(), scripts.refusal()))
    manifest = {"keep": ["n"], **({"image": field} if "." in field else {})}
    job = Job(tmp_path, Path(urls), fake_server.base_url, run_={"max_failure_share": 1.0}, manifest_=manifest)
    assert job.run("--limit", "5").code == 0
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len(list((job.out / "data/caption").glob("*.parquet"))) == SHARDS + 1

    found = {row["key"]: row for row in job.rows()}
    failed = job.kinds()
    wanted = []
    for sample in source:
        key = sample["__key__"]
        if row := found.get(key):
            assert row["image_sha256"] == hashed(sample[field])
            assert b'{"n": %d}' % row["n"] == sample["json"]
            wanted.append((key, row["caption"]))
    assert len(seen) == SHARDS * ROWS
    assert seen == found.keys() | failed.keys()
    assert not found.keys() & failed.keys()
    assert {key for key, kind in failed.items() if kind == "refusal"} == refused.keys()
    assert sorted(failed.values()) == ["no_image"] * SHARDS + ["not_an_image"] * SHARDS + ["refusal"] * len(refused)
    assert len(refused) == SHARDS
    assert len({caption for _, caption in wanted}) == len(wanted) == SHARDS * (ROWS - 3)
    for reader, pairs in pairs_by_reader(job.out, "caption", "caption", tmp_path / "hf").items():
        assert pairs == sorted(wanted), reader
