"""Data parts: when one is written, what is in it, and what a reader may rely on."""

from __future__ import annotations

import base64
import random
import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.types import Column, Shard
from pipeline.ledger import standing
from pipeline.ledger.schema import task_schema
from tests.ledger.world import PRICE, Session, answer, answered, data_files, problem, segments

KEPT = [Column("licence", "string"), Column("width_mm", "float"), Column("pages", "int"), Column("free", "bool")]


def test_the_thresholds_are_those_promised() -> None:
    assert standing.PART_ROWS == 10_000
    assert standing.PART_BYTES == 64 * 1024 * 1024


def test_a_part_is_due_at_its_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PART_ROWS", 5)
    session = Session(tmp_path)

    assert [session.receive(answer(ordinal)) for ordinal in range(5)] == [False] * 4 + [True]
    session.ledger.commit()
    assert data_files(tmp_path) == ["part-000001-000001.parquet"]
    assert [row["ordinal"] for row in answered(tmp_path)] == [0, 1, 2, 3, 4]
    assert not session.receive(answer(5)), "the next part begins empty"
    session.end()


def test_a_part_is_due_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PART_BYTES", 10_000)
    session = Session(tmp_path)

    assert not session.receive(answer(0, "x" * 1000))
    assert session.receive(answer(1, "x" * 4000))
    session.ledger.commit()
    assert len(answered(tmp_path)) == 2
    assert not session.receive(answer(2))
    session.end()


def test_a_part_is_due_at_the_end_of_its_shard(tmp_path: Path) -> None:
    session = Session(tmp_path, shards=[Shard(1, 3, "pictures"), Shard(2, 3, "pictures")])

    due = [session.receive(answer(ordinal, shard=shard)) for ordinal in range(3) for shard in (1, 2)]
    assert due == [False] * 4 + [True, True]
    session.ledger.commit()
    assert data_files(tmp_path) == ["part-000001-000001.parquet", "part-000002-000001.parquet"]
    session.end()


def test_nothing_is_committed_before_it_is_due_and_everything_at_a_drain(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    session.ledger.commit()
    assert data_files(tmp_path) == []

    session.ledger.commit(everything=True)
    assert data_files(tmp_path) == ["part-000001-000001.parquet"]
    assert segments(tmp_path) == ["000001.vlj"], "still being written"
    session.ledger.close()
    assert segments(tmp_path) == []


def test_many_rows_at_once_make_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PART_ROWS", 5)
    session = Session(tmp_path)
    for ordinal in range(12):
        session.receive(answer(ordinal))
    session.end()

    assert data_files(tmp_path) == [f"part-000001-00000{number}.parquet" for number in (1, 2, 3)]
    assert [pq.read_metadata(path).num_rows for path in sorted(tmp_path.glob("data/caption/*"))] == [5, 5, 2]


def test_parts_are_numbered_without_gaps_over_the_life_of_a_shard(tmp_path: Path) -> None:
    for number in range(1, 4):
        session = Session(tmp_path, run_id=f"run-{number}")
        session.receive(answer(number))
        session.ledger.commit(everything=True)
        session.receive(answer(10 + number))
        session.end()

    assert data_files(tmp_path) == [f"part-000001-00000{number}.parquet" for number in range(1, 7)]
    assert sorted(row["ordinal"] for row in answered(tmp_path)) == [1, 2, 3, 11, 12, 13]


def test_rows_are_sorted_and_the_footer_names_them(tmp_path: Path) -> None:
    session = Session(tmp_path)
    ordinals = list(range(40))
    random.Random(1).shuffle(ordinals)
    for ordinal in ordinals:
        session.receive(answer(ordinal, f"caption {ordinal}"))
    session.end()

    rows = answered(tmp_path)
    assert [row["ordinal"] for row in rows] == list(range(40))
    assert [row["caption"] for row in rows] == [f"caption {ordinal}" for ordinal in range(40)]
    metadata = pq.read_metadata(tmp_path / "data/caption/part-000001-000001.parquet").metadata
    bitmap = BitMap.deserialize(base64.b64decode(metadata[b"vlm_batch.ordinals"]))
    assert bitmap == BitMap(range(40))
    assert b"vlm_batch" not in base64.b64decode(metadata[b"ARROW:schema"]), "stored once, not twice"
    assert metadata[b"vlm_batch.run_id"] == b"run-1"


def test_a_row_holds_the_answer_its_envelope_and_what_was_kept(tmp_path: Path) -> None:
    session = Session(tmp_path, kept=KEPT)
    session.receive(answer(3, "zwölf Häuser", kept={"licence": "CC0", "width_mm": 2, "pages": 7, "free": True}))
    session.end()

    [row] = answered(tmp_path)
    finished = row.pop("finished_at")
    assert finished.isoformat() == "2023-11-14T22:13:20+00:00"
    assert {name: value for name, value in row.items() if value is not None} == {
        "key": "picture-3.jpg",
        "uri": "picture-3.jpg",
        "caption": "zwölf Häuser",
        "raw_text": "zwölf Häuser",
        "finish_reason": "stop",
        "model": "model",
        "served_model": "served",
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "cost_usd": PRICE,
        "attempts": 1,
        "latency_ms": 12,
        "request_id": "request-3",
        "run_id": "run-1",
        "shard": 1,
        "ordinal": 3,
        "licence": "CC0",
        "width_mm": 2.0,
        "pages": 7,
        "free": True,
    }


def test_the_schema_is_the_same_in_every_part_and_has_no_null_types(tmp_path: Path) -> None:
    everything: dict[str, Any] = {"licence": "CC0", "width_mm": 2.5, "pages": 7, "free": False}
    for number, kept in enumerate([dict.fromkeys(everything), {}, everything], start=1):
        session = Session(tmp_path, kept=KEPT, run_id=f"run-{number}")
        session.receive(answer(number, kept=kept))
        session.receive(problem(10 + number, "not_found", kept=kept))
        session.end()

    for folder in ("data", "failures"):
        schemas = [pq.read_schema(path).remove_metadata() for path in sorted((tmp_path / folder).rglob("*.parquet"))]
        assert all(schema == schemas[0] for schema in schemas)
        assert not any(pa.types.is_null(field.type) for field in schemas[0])
        assert {name: str(schemas[0].field(name).type) for name in ("licence", "width_mm", "pages", "free")} == {
            "licence": "string",
            "width_mm": "double",
            "pages": "int64",
            "free": "bool",
        }
    assert len(data_files(tmp_path)) == 3


def test_an_answer_column_and_a_kept_one_of_the_same_name_both_stay(tmp_path: Path) -> None:
    session = Session(tmp_path, kept=[Column("caption", "string"), Column("key", "int")])
    session.receive(answer(0, "a cat", kept={"caption": "alt text", "key": 7}))
    session.receive(problem(1, "not_found", kept={"caption": "other text", "key": 8}))
    session.end()

    [row] = answered(tmp_path)
    assert (row["caption"], row["source_caption"], row["key"], row["source_key"]) == (
        "a cat",
        "alt text",
        "picture-0.jpg",
        7,
    )
    failures = pq.read_table(tmp_path / "failures/caption").to_pylist()
    assert [(row["source_caption"], row["source_key"]) for row in failures] == [("other text", 8)]


def test_kept_columns_that_cannot_be_told_apart_are_refused() -> None:
    caption = [Column("caption", "string")]
    with pytest.raises(ValueError, match="'caption' cannot be written: 'source_caption' is taken too"):
        task_schema(caption, [Column("source_caption", "string"), Column("caption", "string")])
    names = task_schema(caption, [Column("caption", "string"), Column("source_caption", "string")]).kept_names
    assert len(set(names.values())) == 2
    with pytest.raises(ValueError, match="the answer column 'cost_usd' has the name of one of vlm-batch's own columns"):
        task_schema([Column("cost_usd", "float")], [])


def test_nothing_unfinished_is_visible_to_a_reader(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for ordinal in range(3):
        session.receive(answer(ordinal))
    session.receive(problem(3, "not_found"))
    session.end()

    assert not list((tmp_path / "_run").rglob("*.parquet")), "a ** glob reads those too"
    assert list((tmp_path / "_run/tmp").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_run", "data", "failures"]


def test_a_row_has_one_outcome(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    with pytest.raises(LedgerError, match="row 0 of shard 1 got a second outcome for caption"):
        session.receive(answer(0, "another"))
    session.die()


def two_parts(root: Path) -> tuple[Path, Path]:
    session = Session(root)
    for ordinal in range(2):
        session.receive(answer(ordinal))
        session.ledger.commit(everything=True)
    session.end()
    first, second = sorted((root / "data/caption").iterdir())
    return first, second


def test_a_part_deleted_by_hand_is_noticed(tmp_path: Path) -> None:
    first, _ = two_parts(tmp_path)
    first.unlink()
    with pytest.raises(LedgerError, match=r"part-000001-000002\.parquet: part 1 of its shard is missing"):
        Session(tmp_path)


def test_a_part_copied_by_hand_is_noticed(tmp_path: Path) -> None:
    first, second = two_parts(tmp_path)
    shutil.copy(first, second.with_name("part-000001-000003.parquet"))
    with pytest.raises(LedgerError, match=r"part-000001-000003\.parquet holds rows that an earlier part"):
        Session(tmp_path)


def test_a_file_of_somebody_else_in_our_place_is_named(tmp_path: Path) -> None:
    _, second = two_parts(tmp_path)
    pq.write_table(pa.table({"a": [1]}), second.with_name("part-000001-000003.parquet"))
    with pytest.raises(LedgerError, match=r"part-000001-000003\.parquet was not written by vlm-batch"):
        Session(tmp_path)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    _, second = two_parts(tmp_path)
    second.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(LedgerError, match=r"Cannot read .*part-000001-000002\.parquet"):
        Session(tmp_path)


def test_other_files_in_a_data_folder_are_left_alone(tmp_path: Path) -> None:
    first, _ = two_parts(tmp_path)
    stranger = first.with_name("notes.txt")
    stranger.write_text("mine")
    session = Session(tmp_path)
    assert session.ledger.settled("caption", 1) == BitMap([0, 1])
    session.end()
    assert stranger.read_text() == "mine"


def test_totals_run_over_the_life_of_the_output(tmp_path: Path) -> None:
    session = Session(tmp_path, tasks=("caption", "ocr"))
    for ordinal in range(3):
        session.receive(answer(ordinal))
    session.receive(problem(3, "not_found"))
    session.receive(answer(0, task="ocr", shard=2))
    session.end()
    session = Session(tmp_path, tasks=("caption", "ocr"), run_id="run-2")
    session.receive(answer(4, run_id="run-2"))
    session.receive(problem(5, "timeout", run_id="run-2"))
    session.receive(problem(6, "not_found", run_id="run-2", attempts=0))
    assert session.ledger.totals()["caption"]["data"]["rows"] == 3, "committed files only"
    session.ledger.commit(everything=True)

    totals = session.ledger.totals()
    assert totals["caption"] == {
        "data": {"rows": 4, "prompt_tokens": 400, "completion_tokens": 20, "cost_usd": 4 * PRICE},
        "failures": {"rows": 3, "cost_usd": 0.0, "kind.not_found": 2, "kind.timeout": 1},
        "pending": {},
    }
    assert totals["ocr"]["data"]["rows"] == 1
    session.end()
    assert Session(tmp_path, tasks=("caption", "ocr")).ledger.totals() == totals


def test_totals_leave_out_what_no_row_knows(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    session.end()
    metadata = pq.read_metadata(tmp_path / "data/caption/part-000001-000001.parquet").metadata
    assert "cached_tokens" not in orjson.loads(metadata[b"vlm_batch.totals"])
