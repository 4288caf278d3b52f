"""The same 200 pictures through every kind of manifest and every storage: the same keys and the same questions."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.integration.command import Job
from tests.manifests.tables import images, parquet
from tests.manifests.tars import tar_bytes
from tests.support.fake_server import FakeServer
from tests.support.moto_store import MotoStore
from tests.support.pictures import oriented, picture
from tests.support.s3_bucket import S3Bucket
from tests.support.web_server import WebServer

ROWS = 200
FOLDERS = ("", "b/", "with space/", "50%25 off/", "ü+#&=;'/")


@dataclass(frozen=True)
class World:
    """The pictures by name, in a folder and behind a web server."""

    folder: Path
    pictures: Mapping[str, bytes]
    web: WebServer

    @property
    def names(self) -> list[str]:
        return list(self.pictures)


@dataclass(frozen=True)
class Manifest:
    """What a run is told; `stems`: its keys are names without their suffix, as `__key__` has them."""

    path: str | Path
    tables: Mapping[str, Any]
    stems: bool = False


KEYED = {"key": "id"}
INSIDE = {"allow_private": True}


def drawn(number: int) -> tuple[str, bytes]:
    """A picture with its name: JPEG or PNG, small or to be scaled down, turned by its EXIF, grey or with alpha."""
    name = f"{FOLDERS[number % len(FOLDERS)]}{number:03}"
    width, height = 20 + number * 7 % 90, 20 + number * 11 % 70
    if number in (7, 8, 9):
        width, height = 1500 + number, 900
    if number % 3 == 0:
        return f"{name}.png", picture(number, width, height, "PNG", ("RGB", "L", "RGBA", "P")[number % 4])
    if number % 3 == 1:
        return f"{name}.jpg", oriented(number, 1 + number % 8, width, height)
    return f"{name}.jpeg", picture(number, width, height, mode=("RGB", "L", "CMYK")[number // 3 % 3])


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    """A listing with a column `id` and one of places."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            lines = csv.DictWriter(file, list(rows[0]))
            lines.writeheader()
            lines.writerows(rows)
    return path


def tarred(world: World, *, named: bool) -> bytes:
    """A WebDataset shard; `named`: the whole name stands in each sample's JSON."""
    members: list[tuple[str | bytes, bytes]] = []
    for name, content in world.pictures.items():
        members.append((name, content))
        if named:
            members.append((f"{name.rpartition('.')[0]}.json", json.dumps({"id": name}).encode()))
    return tar_bytes(members)


def by_csv(world: World, folder: Path) -> Manifest:
    rows = [{"id": name, "file_name": str(world.folder / name)} for name in world.names]
    return Manifest(written(folder / "list.csv", rows), KEYED)


def by_jsonl(world: World, folder: Path) -> Manifest:
    (folder / "here").symlink_to(world.folder)
    rows = [{"file_name": f"here/{name}", "id": name} for name in world.names]
    return Manifest(written(folder / "list.jsonl", rows), KEYED)


def by_address(world: World, folder: Path) -> Manifest:
    rows = [{"id": name, "url": world.web.url(name)} for name in world.names]
    return Manifest(written(folder / "list.jsonl", rows), KEYED | INSIDE)


def by_parquet_of_bytes(world: World, folder: Path) -> Manifest:
    columns = {"id": world.names, "image": pa.array(list(world.pictures.values()), pa.binary())}
    return Manifest(parquet(folder / "a.parquet", columns, row_group_size=30), KEYED)


def by_parquet_of_structs(world: World, folder: Path) -> Manifest:
    column = images(*((content, name) for name, content in world.pictures.items()))
    return Manifest(parquet(folder / "a.parquet", {"image": column}, hf={"image": {"_type": "Image"}}), {})


def by_parquet_of_addresses(world: World, folder: Path) -> Manifest:
    columns = {"URL": [world.web.url(name) for name in world.names], "id": world.names}
    return Manifest(parquet(folder / "a.parquet", columns), KEYED | INSIDE)


def by_tar(world: World, folder: Path) -> Manifest:
    (folder / "a.tar").write_bytes(tarred(world, named=True))
    return Manifest(folder / "a.tar", KEYED)


def by_tar_gz(world: World, folder: Path) -> Manifest:
    (folder / "a.tar.gz").write_bytes(gzip.compress(tarred(world, named=False), 1))
    return Manifest(folder / "a.tar.gz", {}, stems=True)


def by_prefix(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    return Manifest(bucket.url("pictures/"), {})


def by_object_address(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    rows = [{"id": name, "url": bucket.url(f"pictures/{name}")} for name in world.names]
    return Manifest(written(folder / "list.csv", rows), KEYED)


def by_signed_address(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    rows = [{"id": name, "url": bucket.signed(f"pictures/{name}")} for name in world.names]
    return Manifest(written(folder / "list.jsonl", rows), KEYED | INSIDE)


def by_listing_in_a_store(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    rows = [{"id": name, "file_name": f"../pictures/{name}"} for name in world.names]
    return Manifest(bucket.put("lists/a.csv", written(folder / "list.csv", rows).read_bytes()), KEYED)


def by_parquet_in_a_store(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    here = by_parquet_of_structs(world, folder)
    return Manifest(bucket.put("sets/a.parquet", Path(here.path).read_bytes()), here.tables)


def by_tar_in_a_store(world: World, bucket: S3Bucket, folder: Path) -> Manifest:
    return Manifest(bucket.put("sets/a.tar", tarred(world, named=True)), KEYED)


HERE: list[Callable[[World, Path], Manifest]] = [
    *(by_csv, by_jsonl, by_address),
    *(by_parquet_of_bytes, by_parquet_of_structs, by_parquet_of_addresses, by_tar, by_tar_gz),
]
IN_A_STORE: list[Callable[[World, S3Bucket, Path], Manifest]] = [
    *(by_prefix, by_object_address, by_signed_address),
    *(by_listing_in_a_store, by_parquet_in_a_store, by_tar_in_a_store),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("same") / "pictures"
    pictures = dict(sorted(drawn(number) for number in range(ROWS)))
    for name, content in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with WebServer(folder) as web:
        yield World(folder, pictures, web)


@pytest.fixture(scope="module", params=["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def store(request: pytest.FixtureRequest, world: World) -> S3Bucket:
    """The pictures in a bucket."""
    if request.param == "ceph":
        bucket = S3Bucket(request.getfixturevalue("ceph_endpoint"))
    else:
        bucket = MotoStore(request.getfixturevalue("s3_endpoint"))
    for name, content in world.pictures.items():
        bucket.put(f"pictures/{name}", content)
    return bucket


@pytest.fixture(scope="module")
def questions(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is asked of the folder: key to request_sha256."""
    with FakeServer() as server:
        return asked(Manifest(world.folder, {}), tmp_path_factory.mktemp("folder"), server)


def asked(manifest: Manifest, folder: Path, server: FakeServer, env: Mapping[str, str | None] | None = None) -> Any:
    job = Job(folder, Path(), server.base_url, env=dict(env or {}))
    job.manifest_ = {"path": str(manifest.path), **manifest.tables}
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert job.kinds() == {}
    assert server.total == ROWS
    return {row["key"]: row["request_sha256"] for row in job.rows()}


def expected(questions: Mapping[str, str], manifest: Manifest) -> dict[str, str]:
    return {key.rpartition(".")[0] if manifest.stems else key: question for key, question in questions.items()}


def test_a_folder_asks_a_question_of_its_own_for_each_picture(world: World, questions: dict[str, str]) -> None:
    assert sorted(questions) == world.names
    assert len(set(questions.values())) == ROWS


@pytest.mark.parametrize("way", HERE)
def test_every_manifest_asks_the_same(
    way: Callable[[World, Path], Manifest],
    world: World,
    questions: dict[str, str],
    tmp_path: Path,
    fake_server: FakeServer,
) -> None:
    manifest = way(world, tmp_path)
    assert asked(manifest, tmp_path, fake_server) == expected(questions, manifest)


@pytest.mark.parametrize("way", IN_A_STORE)
def test_every_way_through_an_object_store_asks_the_same(
    way: Callable[[World, S3Bucket, Path], Manifest],
    world: World,
    store: S3Bucket,
    questions: dict[str, str],
    tmp_path: Path,
    fake_server: FakeServer,
) -> None:
    manifest = way(world, store, tmp_path)
    assert asked(manifest, tmp_path, fake_server, store.env) == expected(questions, manifest)
