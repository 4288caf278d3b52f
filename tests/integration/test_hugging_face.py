"""Data sets in Hugging Face's form, with the real command: what was kept means in the output what it meant before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.command import Job
from tests.integration.readers import loaded, pairs_by_reader
from tests.manifests.tables import images, parquet
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture


def value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


SOURCE: dict[str, Any] = {
    "image": {"_type": "Image"},
    "id": value("string"),
    "label": {"names": ["cat", "dog", "dürre Kuh"], "_type": "ClassLabel"},
    "caption": {"names": ["no", "yes"], "_type": "ClassLabel"},
    "height_mm": value("int32"),
    "score": value("float32"),
    "tags": {"feature": value("string"), "_type": "List"},
    "sizes": {"feature": value("int64"), "_type": "List"},
    "taken": value("timestamp[us]"),
}


def manifest(path: Path, numbers: range) -> Path:
    columns = {
        # The last has no picture: a failure, which has its kept columns too.
        "image": images(*((picture(number), f"{number}.jpg") for number in numbers[:-1]), (b"no picture", "x.jpg")),
        "id": [f"id {number}" for number in numbers],
        "label": [number % 3 for number in numbers],
        "caption": [number % 2 for number in numbers],
        "height_mm": pa.array(list(numbers), pa.int32()),
        "score": pa.array([0.5] * len(numbers), pa.float32()),
        "tags": pa.array([["a", str(number)] for number in numbers]),
        "sizes": pa.array([[number] for number in numbers]),
        "taken": pa.array([0] * len(numbers), pa.timestamp("us")),
    }
    return parquet(path, columns, hf=SOURCE)


def job_over(folder: Path, server: FakeServer, name: str = "*.parquet") -> Job:
    keep = [column for column in SOURCE if column not in {"image", "id"}]
    tasks = [{"kind": "caption"}, {"kind": "moderate"}]
    return Job(folder, folder / "set" / name, server.base_url, tasks, manifest_={"key": "id", "keep": keep})


def features_in(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata[b"huggingface"]
    found: dict[str, Any] = json.loads(metadata)["info"]["features"]
    return found


def test_kept_columns_mean_in_the_output_what_they_meant(tmp_path: Path, fake_server: FakeServer) -> None:
    manifest(tmp_path / "set/a.parquet", range(6))
    job = job_over(tmp_path, fake_server)
    job.tasks = [{"kind": "caption"}]
    assert job.run().code == 0
    manifest(tmp_path / "set/b.parquet", range(6, 9))  # a second part
    assert job.run().code == 0
    found = loaded(job.out, "caption", tmp_path / "hf")
    assert [row["key"] for row in found.rows] == [f"id {number}" for number in (0, 1, 2, 3, 4, 6, 7)]
    assert found.features["label"] == SOURCE["label"]
    assert found.features["source_caption"] == SOURCE["caption"]
    assert found.features["caption"] == value("string")
    assert found.features["height_mm"] == value("int64")
    assert found.features["score"] == value("float64")
    assert found.features["tags"] == SOURCE["tags"]
    assert found.features["sizes"] == value("string")
    assert found.features["taken"] == value("string")
    assert found.features["width"] == value("int32")
    assert found.features["finished_at"] == value("timestamp[us, tz=UTC]")
    row = found.rows[-1]
    assert (row["label"], row["source_caption"], row["tags"], row["sizes"]) == (1, 1, ["a", "7"], "[7]")
    assert {row["key"]: row["label"] for row in job.failures()} == {"id 5": 2, "id 8": 2}


def test_every_file_describes_exactly_its_columns(tmp_path: Path, fake_server: FakeServer) -> None:
    import datasets

    manifest(tmp_path / "set/a.parquet", range(4))
    job = job_over(tmp_path, fake_server)
    assert job.run().code in {0, 3}
    files = [*job.out.glob("data/*/*.parquet"), *job.out.glob("failures/*/*.parquet")]
    assert {path.parent.parent.name for path in files} == {"data", "failures"}
    for path in files:
        schema = pq.read_schema(path)
        wanted = datasets.Features.from_arrow_schema(schema.remove_metadata())
        wanted["label"] = datasets.ClassLabel(names=SOURCE["label"]["names"])
        wanted["source_caption" if "source_caption" in wanted else "caption"] = datasets.ClassLabel(names=["no", "yes"])
        assert datasets.Features.from_dict(features_in(path)) == wanted
        assert list(features_in(path)) == schema.names
        assert features_in(path)["cost_usd"] == value("float64"), "as `datasets` writes it, not as Arrow prints it"
        assert datasets.Features.from_arrow_schema(schema) == wanted


def test_parts_of_an_earlier_version_are_built_upon(tmp_path: Path, fake_server: FakeServer) -> None:
    manifest(tmp_path / "set/a.parquet", range(4))
    job = job_over(tmp_path, fake_server)
    job.tasks = [{"kind": "caption"}]
    assert job.run().code == 0
    forget(job.out)
    manifest(tmp_path / "set/b.parquet", range(4, 8))
    ended = job.run()
    assert ended.code == 0, ended.stderr
    old, new = sorted((job.out / "data/caption").glob("*.parquet"))
    assert b"huggingface" not in (pq.read_schema(old).metadata or {})
    assert b"huggingface" in pq.read_schema(new).metadata
    assert job.command("verify").code == 0
    wanted = [(row["key"], row["caption"]) for row in job.rows()]
    assert len(wanted) == 6
    for reader, pairs in pairs_by_reader(job.out, "caption", "caption", tmp_path / "hf").items():
        assert pairs == wanted, reader
    assert "no call was made" in job.run().stdout
    assert job.command("rerun", "--kind", "not_an_image").code == 0
    assert job.command("reparse", "--to", str(tmp_path / "again")).code == 0
    again = [features_in(path) for path in (tmp_path / "again/data/caption").glob("*.parquet")]
    assert again == [features_in(new)] * 2


def forget(out: Path) -> None:
    """Make of an output what a version without the metadata would have written."""
    for path in out.glob("*/*/*.parquet"):
        footer = pq.read_metadata(path).metadata
        table = pq.read_table(path).replace_schema_metadata(None)
        with pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(table)
            ours = {name: content for name, content in footer.items() if name.startswith(b"vlm_batch.")}
            writer.add_key_value_metadata(ours)
    for path in out.glob("_run/plan/*.json"):
        record = json.loads(path.read_bytes())
        record["kept"] = [column[:2] for column in record["kept"]]
        path.write_text(json.dumps(record))
