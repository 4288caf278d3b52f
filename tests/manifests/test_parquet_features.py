"""What Hugging Face metadata in a manifest says of kept columns, and what the plan takes over of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.types import Column
from pipeline.manifests.plan import load_plan
from tests.manifests.job import Job
from tests.manifests.pages import only, opened
from tests.manifests.tables import images, parquet

ANIMALS = {"names": ["cat", "dog"], "_type": "ClassLabel"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "out")


def labelled(path: Path, feature: object, kind: pa.DataType | None = None, rows: Iterable[str] = ("a",)) -> Path:
    """Rows with these urls and a kept column `label`."""
    urls = list(rows)
    values: Any = pa.array([1] * len(urls), pa.int64())
    columns = {"url": urls, "label": values.cast(kind) if kind else values}
    hf = {"label": feature} if feature is not None else None
    return parquet(path, columns, hf=hf)


def kept(path: Path, name: str = "label") -> Column:
    [column] = only(path, keep=(name,)).columns()
    return column


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint8()])
def test_class_names_stay_with_whole_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    older = {"num_classes": 2, "names": ["cat", "dog"], "names_file": None, "id": None, "_type": "ClassLabel"}
    for number, feature in enumerate([ANIMALS, older]):
        path = labelled(tmp_path / f"{number}.parquet", feature, kind)
        assert kept(path) == Column("label", "int", ("cat", "dog"))
    numbered = labelled(tmp_path / "n.parquet", {"names": [0, 1], "_type": "ClassLabel"}, kind)
    assert kept(numbered).classes == ("0", "1")


@pytest.mark.parametrize(
    "feature",
    [
        {"names": ["cat", "cat"], "_type": "ClassLabel"},  # `datasets` refuses the whole file for it
        {"names": [1, "1"], "_type": "ClassLabel"},
        {"names": "ab", "_type": "ClassLabel"},
        {"names": [None], "_type": "ClassLabel"},
        {"names": ["x" * 2**20, "y"], "_type": "ClassLabel"},
        {"names": ["é" * 2**19, "y"], "_type": "ClassLabel"},
        {"_type": "ClassLabel"},
        {"names": ["cat", "dog"]},
        {"names": ["cat", "dog"], "_type": "Nouveau"},
        {"dtype": "int32", "_type": "Value"},
        {"feature": ANIMALS, "_type": "List"},
        [ANIMALS],
        "ClassLabel",
        None,
    ],
)
def test_what_is_no_class_label_gives_no_names(tmp_path: Path, feature: object) -> None:
    assert kept(labelled(tmp_path / "a.parquet", feature)) == Column("label", "int")


@pytest.mark.parametrize(
    ("kind", "written"), [(pa.string(), "string"), (pa.uint64(), "string"), (pa.float32(), "float")]
)
def test_class_names_go_where_the_column_is_written_as_something_else(
    tmp_path: Path, kind: pa.DataType, written: str
) -> None:
    assert kept(labelled(tmp_path / "a.parquet", ANIMALS, kind)) == Column("label", written)  # type: ignore[arg-type]


def test_a_member_of_a_struct_has_its_own_names(tmp_path: Path) -> None:
    sample = pa.array([{"img": "a.jpg", "label": 0}])
    hf = {"sample": {"img": {"dtype": "string", "_type": "Value"}, "label": ANIMALS}, "label": {"_type": "ClassLabel"}}
    path = parquet(tmp_path / "a.parquet", {"sample": sample}, hf=hf)
    [column] = only(path, image="sample.img", keep=("sample.label",)).columns()
    assert column == Column("sample.label", "int", ("cat", "dog"))
    odd = parquet(tmp_path / "b.parquet", {"sample": sample}, hf={"sample": "struct"})
    assert only(odd, image="sample.img", keep=("sample.label",)).columns() == [Column("sample.label", "int")]


@pytest.mark.parametrize(
    "metadata",
    [b"", b"\xff", b"[]", b"{}", b'{"info": 7}', b'{"info": {"features": []}}', b'{"info": {"features": null}}'],
)
def test_metadata_that_makes_no_sense_says_nothing(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"image": images((b"J", "a.jpg")), "label": [1]}).replace_schema_metadata(
        {"huggingface": metadata}
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    assert kept(path) == Column("label", "int")


# Many files, and plans that grow


def test_files_with_the_same_names_or_none_agree(tmp_path: Path, job: Job) -> None:
    for number, feature in enumerate([None, ANIMALS, None, {"id": None, **ANIMALS}]):
        labelled(tmp_path / f"{number}.parquet", feature, rows=str(number))
    units = opened(tmp_path / "*.parquet", keep=("label",))
    assert job.run(units).kept == [Column("label", "int", ("cat", "dog"))]
    assert load_plan(job.root / "plan").kept == [Column("label", "int", ("cat", "dog"))]


def test_files_that_differ_have_numbers_without_names(tmp_path: Path, job: Job) -> None:
    others = {"names": ["dog", "cat"], "_type": "ClassLabel"}
    for number, feature in enumerate([ANIMALS, others, ANIMALS]):
        labelled(tmp_path / f"{number}.parquet", feature, rows=str(number))
    assert job.run(opened(tmp_path / "*.parquet", keep=("label",))).kept == [Column("label", "int")]


def test_a_column_that_became_text_has_no_names(tmp_path: Path, job: Job) -> None:
    labelled(tmp_path / "0.parquet", ANIMALS, rows="0")
    labelled(tmp_path / "1.parquet", None, pa.string(), rows="1")
    assert job.run(opened(tmp_path / "*.parquet", keep=("label",))).kept == [Column("label", "string")]


def test_a_plan_that_grows_keeps_names_only_while_they_hold(tmp_path: Path, job: Job) -> None:
    def grown(number: int, feature: object) -> list[Column] | None:
        labelled(tmp_path / f"{number}.parquet", feature, rows=str(number))
        return job.run(opened(tmp_path / "*.parquet", keep=("label",))).kept

    named, plain = [Column("label", "int", ("cat", "dog"))], [Column("label", "int")]
    assert grown(0, ANIMALS) == named
    assert grown(1, ANIMALS) == named
    assert grown(2, None) == named
    assert grown(3, {"names": ["cat", "dog", "cow"], "_type": "ClassLabel"}) == plain
    assert grown(4, ANIMALS) == plain, "what was once dropped does not hold for all rows"


def test_types_stay_as_they_were_planned_first(tmp_path: Path, job: Job) -> None:
    labelled(tmp_path / "0.parquet", ANIMALS, rows="0")
    job.run(opened(tmp_path / "*.parquet", keep=("label",)))
    labelled(tmp_path / "1.parquet", None, pa.string(), rows="1")
    assert job.run(opened(tmp_path / "*.parquet", keep=("label",))).kept == [Column("label", "int", ("cat", "dog"))]


def test_a_plan_of_an_earlier_version_has_no_names(tmp_path: Path, job: Job) -> None:
    labelled(tmp_path / "0.parquet", ANIMALS, rows="0")
    job.run(opened(tmp_path / "0.parquet", keep=("label",)))
    [record] = (job.root / "plan").glob("*.json")
    content = json.loads(record.read_bytes())
    content["kept"] = [["label", "int"]]
    record.write_text(json.dumps(content))
    assert load_plan(job.root / "plan").kept == [Column("label", "int")]
    labelled(tmp_path / "1.parquet", ANIMALS, rows="1")
    units = opened(tmp_path / "{0..1}.parquet", keep=("label",))
    assert job.run(units).kept == [Column("label", "int")], "its earlier files are not looked at again"
