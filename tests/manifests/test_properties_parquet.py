"""Any Parquet files, whatever their types, row groups and schemas: every row once, whole or in part, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.types import Column
from pipeline.manifests.unit import Unit
from tests.manifests.model import Expected, hold
from tests.manifests.pages import opened
from tests.manifests.tables import HF, parquet

TEXT_FORMS = {
    "text": pa.string(),
    "large text": pa.large_string(),
    "text view": pa.string_view(),
    "text dictionary": pa.dictionary(pa.int32(), pa.string()),
    "list of text": pa.list_(pa.string()),
    "large list of text": pa.large_list(pa.string()),
}
BYTES_FORMS = {
    "bytes": pa.binary(),
    "large bytes": pa.large_binary(),
    "bytes view": pa.binary_view(),
    "fixed bytes": pa.binary(3),
    "bytes dictionary": pa.dictionary(pa.int32(), pa.binary()),
    "list of bytes": pa.list_(pa.binary()),
}
STRUCT_FORMS = {
    "struct": HF,
    "list of struct": pa.list_(HF),
    "large struct": pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]),
    "struct with more nulls than paths": pa.struct([("bytes", pa.binary()), ("path", pa.null())]),
}
KEPT = {
    "n": (Column("n", "int"), pa.int16(), st.none() | st.integers(-(2**15), 2**15 - 1)),
    "f": (Column("f", "float"), pa.float32(), st.none() | st.sampled_from([0.5, -1.25, 1e10])),
    "yes": (Column("yes", "bool"), pa.bool_(), st.none() | st.booleans()),
    "t": (Column("t", "string"), pa.large_string(), st.none() | st.text(max_size=3)),
    "label": (Column("label", "string"), pa.dictionary(pa.int8(), pa.string()), st.none() | st.sampled_from("ab")),
    "tags": (
        Column("tags", "list<string>"),
        pa.list_(pa.string()),
        st.none() | st.lists(st.none() | st.text(max_size=2)),
    ),
}
NAMES = st.none() | st.one_of(
    st.text("abä ./%#?", min_size=1, max_size=6),
    st.builds("https://host.example/{}".format, st.text("abä/%20", min_size=1, max_size=6)),
    st.builds("s3://bucket/{}".format, st.text("ab #/%20", min_size=1, max_size=6)),
)
CONTENTS = st.none() | st.binary(min_size=3, max_size=3)
COMPRESSIONS = st.sampled_from(["none", "snappy", "zstd", "gzip"])


def place_of(name: str | None, folder: Path) -> dict[str, str]:
    if name is None:
        return {"problem": "no_image"}
    return {"url": name} if "://" in name else {"path": str(folder / name)}


def check(
    folder: Path, form: pa.DataType, files: list[list[Any]], model: list[Expected], draw: Any, **options: Any
) -> None:
    """Write the files, each with some of the kept columns, and hold their units against the model."""
    whole: list[Expected] = []
    left = iter(model)
    present: dict[str, None] = {}
    for number, pictures in enumerate(files):
        columns: dict[str, Any] = {"image": pa.array(pictures, form)}
        chosen = sorted(KEPT) if number == 0 else sorted(draw(st.sets(st.sampled_from(sorted(KEPT)))))
        values: dict[str, list[Any]] = {}
        for name in chosen:
            _, kind, strategy = KEPT[name]
            values[name] = draw(st.lists(strategy, min_size=len(pictures), max_size=len(pictures)))
            columns[name] = pa.array(values[name], kind)
        present |= dict.fromkeys(chosen)
        order = draw(st.permutations(sorted(columns)))
        parquet(
            folder / f"{number}.parquet",
            {name: columns[name] for name in order},
            row_group_size=draw(st.integers(1, 6)),
            compression=draw(COMPRESSIONS),
            use_dictionary=draw(st.booleans()),
            data_page_size=draw(st.sampled_from([64, 2**20])),
            data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        )
        for index in range(len(pictures)):
            row = next(left)
            whole.append(
                Expected(
                    row.key, row.path, row.url, row.data, row.problem, {name: values[name][index] for name in chosen}
                )
            )
    kept = [KEPT[name][0] for name in KEPT]

    def units() -> list[Unit]:
        return opened(folder / "*.parquet", keep=tuple(KEPT), **options)

    hold(units, whole, kept, draw)


def files_of(rows: Any) -> Any:
    return st.lists(st.lists(rows, max_size=9), min_size=1, max_size=3)


def listed(form: str, value: Any) -> Any:
    return [value] if "list" in form and value is not None else value


@pytest.mark.parametrize("form", TEXT_FORMS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(files=files_of(NAMES), data=st.data())
def test_names(
    tmp_path_factory: pytest.TempPathFactory, form: str, files: list[list[Any]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("text")
    model = [
        Expected(name or f"{number}.parquet:{index + 1}", **place_of(name, folder))
        for number, names in enumerate(files)
        for index, name in enumerate(names)
    ]
    pictures = [[listed(form, name) for name in names] for names in files]
    check(folder, TEXT_FORMS[form], pictures, model, data.draw)


@pytest.mark.parametrize("form", BYTES_FORMS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(files=files_of(CONTENTS), data=st.data())
def test_bytes(
    tmp_path_factory: pytest.TempPathFactory, form: str, files: list[list[Any]], data: st.DataObject
) -> None:
    model = [
        Expected(f"{number}.parquet:{index + 1}", data=content, problem="no_image" if content is None else None)
        for number, contents in enumerate(files)
        for index, content in enumerate(contents)
    ]
    pictures = [[listed(form, content) for content in contents] for contents in files]
    check(tmp_path_factory.mktemp("bytes"), BYTES_FORMS[form], pictures, model, data.draw)


@pytest.mark.parametrize("form", STRUCT_FORMS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(files=files_of(st.none() | st.tuples(CONTENTS, NAMES)), data=st.data())
def test_structs(
    tmp_path_factory: pytest.TempPathFactory, form: str, files: list[list[Any]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("struct")
    nameless = "nulls" in form
    model: list[Expected] = []
    for number, rows in enumerate(files):
        pairs = [(content, None if nameless else name) for content, name in (row or (None, None) for row in rows)]
        names = [name for _, name in pairs if name]
        for index, (content, name) in enumerate(pairs):
            key = name if name and len(set(names)) == len(names) else f"{number}.parquet:{index + 1}"
            where: dict[str, Any] = {"data": content} if content else place_of(name, folder)
            model.append(Expected(key, **where))
    pictures = [
        [listed(form, row and {"bytes": row[0], "path": None if nameless else row[1]}) for row in rows]
        for rows in files
    ]
    check(folder, STRUCT_FORMS[form], pictures, model, data.draw)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    names=st.lists(st.none() | st.text("abc", min_size=1, max_size=3), min_size=1, max_size=30),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    whole=st.booleans(),
    data=st.data(),
)
def test_a_file_that_grows_keeps_its_keys(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str | None],
    sizes: tuple[int, int],
    whole: bool,
    data: st.DataObject,
) -> None:
    """Also when it is written in other row groups than before, and with a key column of numbers or of text."""
    path = tmp_path_factory.mktemp("grown") / "x.parquet"
    options = {} if whole else {"key": "id"}
    ids = [number if number % 5 else None for number in range(len(names))]
    cut = data.draw(st.integers(0, len(names)))
    planned = []
    for length, size in zip((cut, len(names)), sizes, strict=True):
        columns = {"url": pa.array(names[:length], pa.string()), "id": pa.array(ids[:length], pa.int64())}
        parquet(path, columns, row_group_size=size)
        model = []
        for at in range(length):
            place = f"x.parquet:{at + 1}"
            key = names[at] if whole else ids[at]
            if key is None:
                model.append(Expected(place, problem="no_image" if whole else "bad_row"))
            else:
                model.append(Expected(str(key), **place_of(names[at], path.parent)))
        planned.append(hold(lambda: opened(path, **options), model, [], data.draw))
    assert [row.key for row in planned[1][:cut]] == [row.key for row in planned[0]]
