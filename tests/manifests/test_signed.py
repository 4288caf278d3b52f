"""Signed addresses in columns that are keys, kept or quoted: what signs them goes, everything else stays."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.manifests.pages import keys, only, scanned
from tests.manifests.tables import parquet
from tests.manifests.tars import write_tar

SIGNED = "https://me:word@h.example/a.jpg?v=2&X-Amz-Signature=abc&sig=abc#part"
SHOWN = "https://h.example/a.jpg?v=2#part"
TEXT = "see https://h.example/a.jpg?token=here"
ROW = {"id": SIGNED.partition("#")[0], "page": f" {SIGNED}", "text": TEXT, "object": "s3://b/a.jpg?X-Amz-Signature=abc"}
NESTED = {"all": [SIGNED, None, 7, {"of": SIGNED}]}


def by_csv(folder: Path) -> Path:
    text = io.StringIO()
    table = csv.DictWriter(text, ["image", *ROW])
    table.writeheader()
    table.writerow({"image": "a.jpg", **ROW})
    (folder / "a.csv").write_text(text.getvalue())
    return folder / "a.csv"


def by_jsonl(folder: Path) -> Path:
    (folder / "a.jsonl").write_text(json.dumps({"image": "a.jpg", **ROW, "more": NESTED}))
    return folder / "a.jsonl"


def by_tar(folder: Path) -> Path:
    return write_tar(folder / "a.tar", ("a.jpg", b"picture"), ("a.json", json.dumps(ROW | {"more": NESTED}).encode()))


def by_parquet(folder: Path) -> Path:
    more = [{"all": [SIGNED, None], "of": {"it": SIGNED}}]
    columns = {name: [value] for name, value in ROW.items()}
    return parquet(folder / "a.parquet", {"image": ["a.jpg"], **columns, "more": more, "list": [[SIGNED, None, TEXT]]})


@pytest.mark.parametrize("write", [by_csv, by_jsonl, by_tar, by_parquet])
@pytest.mark.parametrize("use", ["keep", "context"])
def test_what_signs_an_address_goes_and_all_else_stays(write: Callable[[Path], Path], use: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    columns = ["page", "text", "object", *(["more"] if path.suffix != ".csv" else [])]
    columns += ["list"] if path.suffix == ".parquet" else []
    unit = only(path, key="id", **{use: tuple(columns)})
    assert keys(unit) == [SHOWN.partition("#")[0]]
    (row,) = scanned(unit)
    assert row.problem is None, row.problem
    assert (row.columns["page"], row.columns["text"]) == (f" {SHOWN}", TEXT.partition("?")[0])
    assert row.columns["object"] == "s3://b/a.jpg"
    if "more" in columns:
        more = json.loads(str(row.columns["more"]))
        wanted = (
            {"all": [SHOWN, None], "of": {"it": SHOWN}}
            if "list" in columns
            else {"all": [SHOWN, None, 7, {"of": SHOWN}]}
        )
        assert more == wanted
    if "list" in columns:
        assert row.columns["list"] == [SHOWN, None, TEXT.partition("?")[0]]


def test_addresses_inside_of_texts_are_unsigned_too() -> None:
    from pipeline.manifests.places import name_in_key, unsigned

    signed = "https://h/a.jpg?w=3&X-Amz-Signature=SECRET"
    assert unsigned(f"see {signed} or <{signed}>") == "see https://h/a.jpg?w=3 or <https://h/a.jpg?w=3>"
    assert unsigned('{"u":"s3://b/a.jpg?X-Tos-Signature=SECRET"}') == '{"u":"s3://b/a.jpg"}'
    assert unsigned("ratio 3://4 and a?b=c") == "ratio 3://4 and a?b=c"
    assert name_in_key("//h/a.jpg?X-Bz-Signature=SECRET") == "//h/a.jpg"
