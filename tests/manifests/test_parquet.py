"""Parquet files as manifests: where the picture is, what its key is, and what comes along."""

from __future__ import annotations

import datetime
import decimal
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests.unit import Placed
from tests.manifests.pages import keys, only, opened, scanned, touch
from tests.manifests.tables import HF, images, parquet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.parquet"


def found(path: Path, **options: Any) -> list[tuple[str, object]]:
    """Key, and bytes, path, address or kind of problem of every row."""
    rows = scanned(only(path, **options))
    return [(row.key, row.problem.kind if row.problem else row.data or row.url or row.path) for row in rows]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_paths_and_addresses_of_every_type_of_text(tmp_path: Path, path: Path, kind: pa.DataType) -> None:
    touch(tmp_path, "a.jpg")
    signed = "https://host/b.jpg?w=3&X-Amz-Signature=secret"
    texts = ["a.jpg", signed, None, "", "ftp://host/c.jpg"]
    parquet(
        path, {"url": pa.array(texts, pa.string()).cast(kind) if kind != pa.string_view() else pa.array(texts, kind)}
    )
    assert found(path) == [
        ("a.jpg", f"{tmp_path}/a.jpg"),
        ("https://host/b.jpg?w=3", signed),
        ("train.parquet:3", "no_image"),
        ("train.parquet:4", "no_image"),
        ("ftp://host/c.jpg", "bad_row"),
    ]
    assert [row.size for row in scanned(only(path))][:2] == [7, None]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)], ids=str)
def test_bytes_of_every_type(path: Path, kind: pa.DataType) -> None:
    parquet(path, {"jpg": pa.array([b"abc", None, b"xyz"], kind)})
    assert found(path) == [("train.parquet:1", b"abc"), ("train.parquet:2", "no_image"), ("train.parquet:3", b"xyz")]
    assert [row.uri for row in scanned(only(path))] == ["train.parquet:1", "train.parquet:2", "train.parquet:3"]


def test_hugging_face_images_are_called_by_paths_that_tell_them_apart(tmp_path: Path, path: Path) -> None:
    touch(tmp_path, "b.jpg")
    rows = [(b"A", "a.jpg"), (None, "b.jpg"), (b"C", None), None, (None, None), (b"", "f.jpg")]
    parquet(path, {"picture": images(*rows), "label": [1] * 6}, hf={"picture": {"_type": "Image"}})
    assert found(path) == [
        ("a.jpg", b"A"),
        ("b.jpg", f"{tmp_path}/b.jpg"),
        ("train.parquet:3", b"C"),
        ("train.parquet:4", "no_image"),
        ("train.parquet:5", "no_image"),
        ("f.jpg", f"{tmp_path}/f.jpg"),
    ]
    parquet(path, {"picture": images((b"A", "image.jpg"), (b"B", "image.jpg"))})
    assert found(path) == [("train.parquet:1", b"A"), ("train.parquet:2", b"B")]


def test_a_list_with_one_picture_is_a_row_and_more_are_never_cut(path: Path) -> None:
    one, two = {"bytes": b"A", "path": "a.jpg"}, {"bytes": b"B", "path": "b.jpg"}
    parquet(path, {"images": pa.array([[one], [one, two], [], None, [two, None]], pa.list_(HF))})
    assert found(path, image="images") == [
        ("a.jpg", b"A"),
        ("train.parquet:2", "bad_row"),
        ("train.parquet:3", "no_image"),
        ("train.parquet:4", "no_image"),
        ("b.jpg", b"B"),
    ]
    problem = scanned(only(path, image="images"))[1].problem
    assert str(problem) == "train.parquet:2: the column 'images' holds 2 pictures; a row is asked about one"


@pytest.mark.parametrize(
    ("columns", "hf", "image"),
    [
        # LAION, COYO, DataComp
        ({"SAMPLE_ID": [1], "URL": ["http://x/a"], "TEXT": ["t"], "HEIGHT": [1], "similarity": [0.3]}, None, "URL"),
        ({"id": [1], "url": ["http://x/a"], "text": ["t"], "image_phash": ["f0"], "num_faces": [0]}, None, "url"),
        ({"uid": ["u"], "url": ["http://x/a"], "text": ["t"], "sha256": ["0"], "face_bboxes": [[[0.1]]]}, None, "url"),
        # img2dataset: the address is still there beside the bytes
        ({"url": ["http://x/a"], "key": ["0"], "status": ["success"], "jpg": [b"J"], "caption": ["c"]}, None, "jpg"),
        # Hugging Face
        ({"image": images((b"J", "a")), "url": ["x"]}, {"image": {"_type": "Image"}}, "image"),
        ({"scan": images((b"J", "a")), "mask": images((b"J", "a"))}, {"scan": {"_type": "Image"}}, "scan"),
        ({"a": pa.array([["x"]]), "b": ["y"]}, {"a": [{"_type": "Image"}]}, "a"),
        ({"a": pa.array([["x"]]), "b": ["y"]}, {"a": {"_type": "List", "feature": {"_type": "Image"}}}, "a"),
        ({"anything": images((b"J", "a")), "path": ["x"]}, None, "anything"),
    ],
)
def test_the_picture_is_found_in_the_conventions_of_known_data_sets(
    path: Path, columns: dict[str, Any], hf: dict[str, Any] | None, image: str
) -> None:
    parquet(path, columns, hf=hf)
    assert found(path) == found(path, image=image)
    assert found(path)[0][1] not in {"no_image", "bad_row"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["a"], "url": ["b"]}, r"Several columns could hold the picture: image, url\. Its columns are image"),
        ({"a": images((b"", "")), "b": images((b"", ""))}, r"Several columns could hold the picture: a, b\."),
        (
            {"image": [1], "photo": ["x"]},
            r"No column holds the picture\. Its columns are image, photo\. Set manifest.im",
        ),
    ],
)
def test_what_is_ambiguous_is_asked_for(path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        keys(only(parquet(path, columns)))


def test_a_configured_column_must_be_there_and_of_use(path: Path) -> None:
    parquet(path, {"url": ["a"], "n": [1], "x": [1.5]})
    with pytest.raises(ManifestError, match=r"no column 'img' for manifest.image; its columns are n, url, x"):
        keys(only(path, image="img"))
    with pytest.raises(ManifestError, match=r"the column 'n' is int64, which is no picture"):
        keys(only(path, image="n"))
    with pytest.raises(ManifestError, match=r"has double in the column 'x'; manifest.key needs one with text or whole"):
        keys(only(path, key="x"))
    with pytest.raises(ManifestError, match=r"has no column 'id'; manifest.key needs"):
        keys(only(path, key="id"))


def test_keys_of_a_column_and_what_is_none(path: Path) -> None:
    parquet(path, {"id": pa.array([7, None, 2**63], pa.uint64()), "url": ["a", "b", None]})
    assert found(path, key="id")[1:] == [("train.parquet:2", "bad_row"), (str(2**63), "no_image")]
    ids = pa.array(["x", "", "x2"]).dictionary_encode()
    parquet(path, {"id": ids, "image": pa.array([b"A", b"B", b"C"])})
    assert found(path, key="id") == [("x", b"A"), ("train.parquet:2", "bad_row"), ("x2", b"C")]


def test_text_that_is_no_utf8(path: Path) -> None:
    broken = pa.array([b"a.jpg", b"\xff.jpg"]).view(pa.string())
    parquet(path, {"url": broken, "title": broken})
    assert [key for key, _ in found(path)] == ["a.jpg", "train.parquet:2"]
    assert found(path)[1][1] == "bad_row"
    parquet(path, {"url": ["a", "b"], "title": broken, "tags": pa.array([[b"\xff"], None]).cast(pa.list_(pa.binary()))})
    rows = scanned(only(path, keep=("title", "tags")))
    assert [row.columns["title"] for row in rows] == ["a.jpg", "\\xff.jpg"]
    assert [row.columns["tags"] for row in rows] == ['["\\\\xff"]', None]


def test_nested_names_lead_through_structs(path: Path) -> None:
    inner = pa.array([{"img": {"url": "a.jpg"}, "n": 1}, None, {"img": None, "n": 3}])
    parquet(path, {"sample": inner, "a.b": [1, 2, 3]})
    rows = scanned(only(path, image="sample.img.url", keep=("sample.n", "a.b")))
    assert [(row.key, row.problem and row.problem.kind) for row in rows] == [
        ("a.jpg", None),
        ("train.parquet:2", "no_image"),
        ("train.parquet:3", "no_image"),
    ]
    assert rows[0].columns == {"sample.n": 1, "a.b": 1}


UTC = datetime.UTC
KEPT = [
    (pa.array([1, None], pa.int8()), "int", [1, None]),
    (pa.array([2**63, 1], pa.uint64()), "string", [str(2**63), "1"]),
    (pa.array([0.5, math.inf], pa.float32()), "float", [0.5, math.inf]),
    (pa.array([True, None]), "bool", [True, None]),
    (pa.array(["ä", None], pa.large_string()), "string", ["ä", None]),
    (pa.array(["x", "x"]).dictionary_encode(), "string", ["x", "x"]),
    (pa.array([["a", None], []], pa.list_(pa.string())), "list<string>", [["a", None], []]),
    (pa.array([[1], None], pa.list_(pa.int64())), "string", ["[1]", None]),
    (pa.array([{"a": {"b": 1}}, None]), "string", ['{"a":{"b":1}}', None]),
    (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), "string", ['[["k",1]]', "[]"]),
    (pa.array([decimal.Decimal("1.50"), None]), "string", ["1.50", None]),
    (pa.array([b"text", b"\xff"]), "string", ["text", "\\xff"]),
    (
        pa.array([1_500_000_000_123_456_789, None], pa.timestamp("ns")),
        "string",
        ["2017-07-14T02:40:00.123456789", None],
    ),
    (pa.array([0, None], pa.timestamp("ms", "Europe/Berlin")), "string", ["1970-01-01T00:00:00.000Z", None]),
    (pa.array([datetime.date(2020, 2, 29), None]), "string", ["2020-02-29", None]),
    (pa.array([90, None], pa.duration("ms")), "string", ["90 ms", None]),
    (pa.array([None, None], pa.null()), "string", [None, None]),
]


@pytest.mark.parametrize(("array", "kind", "values"), KEPT, ids=lambda value: str(getattr(value, "type", "")))
def test_kept_columns_keep_their_types_and_values(path: Path, array: pa.Array, kind: Any, values: list[Any]) -> None:
    unit = only(parquet(path, {"url": ["a", "b"], "extra": array}), keep=("extra",))
    read = [row.columns["extra"] for row in scanned(unit)]
    assert unit.columns() == [Column("extra", kind)]
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


def test_a_number_that_is_none_stays_what_it_is(path: Path) -> None:
    rows = scanned(only(parquet(path, {"url": ["a", "b"], "x": [math.nan, None]}), keep=("x",)))
    assert math.isnan(rows[0].columns["x"])  # type: ignore[arg-type]  # it is a float
    assert rows[1].columns["x"] is None


def test_the_pictures_themselves_are_not_kept(path: Path) -> None:
    with pytest.raises(ManifestError, match=r"the column 'image' holds the pictures themselves"):
        keys(only(parquet(path, {"image": [b"J"]}), keep=("image",)))


def test_files_of_one_manifest_may_have_different_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "d/a.parquet", {"url": ["a"], "n": [1], "m": pa.nulls(1)})
    parquet(tmp_path / "d/x/b.parquet", {"IMAGE": ["b"], "title": ["t"], "m": [5]})
    units = opened(tmp_path / "d/**/*.parquet", keep=("n", "m"), context=("title",))
    kept = [Column("n", "int"), Column("m", "int")]
    assert [unit.columns() for unit in units] == [[Column("n", "int")], [Column("m", "int")]]
    rows = []
    for unit in units:
        rows += unit.read(1, [Placed(0, row.key, row.ref) for row in unit.rows()], kept)
    assert [row.columns for row in rows] == [{"title": None, "n": 1, "m": None}, {"title": "t", "n": None, "m": 5}]
    lost = opened(tmp_path / "d/**/*.parquet", keep=("licence",))
    with pytest.raises(
        ManifestError, match=r"no column 'licence', nor has any other file of the manifest; its columns"
    ):
        keys(lost[1])


def test_a_column_of_another_type_than_the_output_is_told(path: Path) -> None:
    unit = only(parquet(path, {"url": ["a"], "n": ["many"]}), keep=("n",))
    [row] = unit.read(1, [Placed(0, row.key, row.ref) for row in unit.rows()], [Column("n", "int")])
    assert str(row.problem) == "train.parquet:1: the kept column 'n' is string; in this output it is int"


def test_files_without_rows_hold_none(path: Path) -> None:
    assert keys(only(parquet(path, {"url": pa.array([], pa.string())}), keep=("url",))) == []


def test_a_file_changed_under_the_run_is_noticed(path: Path) -> None:
    unit = only(parquet(path, {"url": ["a", "b"]}))
    placed = [Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows())]
    parquet(path, {"url": ["b", "a"]})
    with pytest.raises(ManifestError, match=r"was changed while it was being read. Run the same command again"):
        list(unit.read(1, placed, []))
    parquet(path, {"url": pa.array([], pa.string())}, row_group_size=1)
    with pytest.raises(ManifestError, match=r"was changed"):
        list(unit.read(1, placed, []))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.none() | st.binary(max_size=9), st.none() | st.text("ab", max_size=3)) | st.none(), max_size=40
    ),
    st.integers(1, 41),
    st.data(),
)
def test_any_table_is_read_back_row_by_row_whatever_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], group: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "any" / "t.parquet"
    numbers = [None if row is None else len(row[0] or b"") for row in rows]
    parquet(path, {"image": images(*rows), "n": pa.array(numbers, pa.int32())}, row_group_size=group)
    unit = only(path, keep=("n",))
    placed = [Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows())]
    assert len(placed) == len(rows)
    assert len({row.key for row in placed}) == len(rows)
    wanted = sorted(data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else [])
    read = list(only(path, keep=("n",)).read(1, [placed[number] for number in wanted], unit.columns()))
    assert [row.ordinal for row in read] == wanted
    for row in read:
        content, name = rows[row.ordinal] or (None, None)
        assert row.data == (content or None)
        if not content:
            assert row.path == (str(path.parent / name) if name else None)
            assert (row.problem is not None) == (not name)
        if row.problem is None:
            assert row.columns == {"n": numbers[row.ordinal]}
