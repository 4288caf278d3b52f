"""What can happen to an output's files, one single damage at a time, and the code under which `verify` must name it."""

from __future__ import annotations

import base64
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.ledger.frames import encode
from pipeline.ledger.parts import totals_of
from tests.ledger.tampering import changed, one, rewrite
from tests.ledger.world import answer
from tests.ledger.world import problem as ended

Damage = Callable[[Path, random.Random], None]
FINISHED: dict[str, list[Damage]] = {}
"""By the code that must be found: damages to a finished output with retired shards and an index."""
STOPPED: dict[str, list[Damage]] = {}
"""Damages to one that was killed half-way."""


def names(code: str, *, stopped: bool | None = None) -> Callable[[Damage], Damage]:
    """Enter a damage; `stopped` True or False when it only makes sense for one of the two outputs."""

    def enter(damage: Damage) -> Damage:
        for table, wanted in ((FINISHED, stopped is not True), (STOPPED, stopped is not False)):
            if wanted:
                table.setdefault(code, []).append(damage)
        return damage

    return enter


# Parts


@names("part_deleted")
def a_part_deleted(root: Path, chance: random.Random) -> None:
    one(root, "data/*/*.parquet", chance).unlink()


@names("part_gap", stopped=False)
def the_first_of_two_parts_deleted(root: Path, chance: random.Random) -> None:
    second = one(root, "data/*/part-*-000002.parquet", chance)
    second.with_name(second.name.replace("-000002.", "-000001.")).unlink()


@names("success_unanswered", stopped=False)
def every_part_of_a_shard_deleted_without_an_index(root: Path, chance: random.Random) -> None:
    (root / "_run/index.sqlite").unlink()
    one(root, "data/*/part-000005-000002.parquet", chance).unlink()


@names("file_unreadable")
def a_file_truncated(root: Path, chance: random.Random) -> None:
    path = one(root, "[df]a*/*/*.parquet", chance)
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


@names("file_unreadable")
def a_page_overwritten(root: Path, chance: random.Random) -> None:
    path = one(root, "[df]a*/*/*.parquet", chance)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 200 + content[204:])


@names("file_unreadable")
def the_row_list_removed(root: Path, chance: random.Random) -> None:
    rewrite(one(root, "[df]a*/*/*.parquet", chance), footer={b"vlm_batch.ordinals": None})


@names("file_unreadable")
def the_footer_made_nonsense(root: Path, chance: random.Random) -> None:
    name = chance.choice([b"vlm_batch.ordinals", b"vlm_batch.totals"])
    rewrite(one(root, "[df]a*/*/*.parquet", chance), footer={name: chance.choice([b"", b"x", b"AAAA", b"[1]"])})


@names("rows_mislisted")
def the_row_list_changed(root: Path, chance: random.Random) -> None:
    path = one(root, "[df]a*/*/*.parquet", chance)
    listed = BitMap(pq.read_table(path, columns=["ordinal"]).column("ordinal").to_pylist())
    listed ^= BitMap([chance.choice([*listed, 3, 2])])
    rewrite(path, footer={b"vlm_batch.ordinals": base64.b64encode(listed.serialize())})


@names("row_repeated")
def a_row_doubled_in_its_file(root: Path, chance: random.Random) -> None:
    rewrite(one(root, "[df]a*/*/*.parquet", chance), lambda table: pa.concat_tables([table.slice(0, 1), table]))


@names("row_in_two_parts")
def a_part_copied_to_the_next_number(root: Path, chance: random.Random) -> None:
    last = max(root.glob(f"data/{chance.choice(['caption', 'ocr'])}/part-000001-*"))
    stem, _, number = last.stem.rpartition("-")
    shutil.copy(last, last.with_name(f"{stem}-{int(number) + 1:06}.parquet"))


@names("shard_column_wrong")
def the_shard_column_changed(root: Path, chance: random.Random) -> None:
    rewrite(one(root, "[df]a*/*/*.parquet", chance), changed("shard", chance.choice([None, 0, 77])))


@names("totals_wrong")
def the_totals_changed(root: Path, chance: random.Random) -> None:
    path = one(root, "[df]a*/*/*.parquet", chance)
    totals = totals_of(pq.ParquetFile(path).read())
    totals[chance.choice(["rows", "cost_usd", "prompt_tokens", "kind.cut"])] = chance.choice([0.25, 77])
    rewrite(path, footer={b"vlm_batch.totals": orjson.dumps(totals)})


@names("schema_differs")
def a_column_of_another_type(root: Path, chance: random.Random) -> None:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index("width"), "width", pa.nulls(table.num_rows, pa.int64()))

    rewrite(one(root, "data/caption/*.parquet", chance), change)  # of several: one alone differs from nothing


# The plan and its rows


@names("key_wrong")
def a_key_changed(root: Path, chance: random.Random) -> None:
    rewrite(one(root, "[df]a*/*/*.parquet", chance), changed("key", chance.choice(["k00.jpg ", "", "x" * 10_000])))


@names("key_settled_twice", stopped=False)
def a_key_taken_from_another_shard(root: Path, chance: random.Random) -> None:
    task = chance.choice(["caption", "ocr"])
    key = pq.read_table(root / f"data/{task}/part-000001-000001.parquet").column("key")[0].as_py()
    rewrite(root / f"data/{task}/part-000005-000001.parquet", changed("key", key))


@names("row_in_both")
def an_answered_row_made_a_final_failure(root: Path, chance: random.Random) -> None:
    task = chance.choice(["caption", "ocr"])
    [snapshot] = root.glob(f"failures/{task}/shard-000001-*")
    row = pq.ParquetFile(root / f"data/{task}/part-000001-000001.parquet").read().to_pylist()[0]
    rewrite(snapshot, changed("ordinal", row["ordinal"]))


@names("unplanned")
def the_newest_generation_of_the_plan_deleted(root: Path, chance: random.Random) -> None:
    newest = max(root.glob("_run/plan/*.json"))
    if newest.name == "000001.json":
        newest.write_bytes(newest.read_bytes().replace(b"[2,4,", b"[2,1,"))
    else:
        newest.unlink()


@names("plan_unreadable")
def a_file_of_the_plan_lost_or_broken(root: Path, chance: random.Random) -> None:
    path = chance.choice([root / "_run/plan/000001.rows", root / "_run/plan/000001.json"])
    if path.suffix == ".rows" and chance.random() < 0.5:
        path.unlink()
    else:
        path.write_bytes(chance.choice([b"{}", b"[]", b"", b"no plan", path.read_bytes()[:100]]))


@names("plan_missing")
def the_plan_deleted(root: Path, chance: random.Random) -> None:
    shutil.rmtree(root / "_run/plan")


@names("config_missing")
def the_configuration_deleted(root: Path, chance: random.Random) -> None:
    path = root / "_run/config-1.json"
    chance.choice([path.unlink, lambda: path.rename(root / "_run/config-3.json")])()


@names("config_unreadable")
def the_configuration_broken(root: Path, chance: random.Random) -> None:
    (root / "_run/config-1.json").write_bytes(chance.choice([b"", b"[]", b'{"config": {}}', b"\xff"]))


# Answers and questions


@names("answer_shared", stopped=False)
def an_answer_stored_for_another_question(root: Path, chance: random.Random) -> None:
    path = root / f"data/{chance.choice(['caption', 'ocr'])}/part-000005-000001.parquet"
    rows = pq.ParquetFile(path).read().to_pylist()
    rewrite(path, changed("request_id", rows[0]["request_id"], 1))
    rewrite(path, changed("finished_at", rows[0]["finished_at"], 1))


@names("original_missing", stopped=False)
def a_copy_without_its_original(root: Path, chance: random.Random) -> None:
    [(path, row)] = [
        (path, row)
        for path in root.glob("data/*/*.parquet")
        for row, original in enumerate(pq.read_table(path).column("dedup_of").to_pylist())
        if original is not None
    ]
    column, value = chance.choice([("dedup_of", "k99.jpg"), ("request_sha256", "0" * 64), ("request_sha256", None)])
    rewrite(path, changed(column, value, row))


@names("copy_costs")
def a_paid_row_called_a_copy(root: Path, chance: random.Random) -> None:
    rewrite(
        one(root, "data/*/*.parquet", chance),
        lambda table: changed("dedup_of", "k00.jpg")(changed("cost_usd", 0.5)(changed("prompt_tokens", 9)(table))),
    )


# The journal


@names("segment_damaged", stopped=True)
def a_hole_in_the_journal(root: Path, chance: random.Random) -> None:
    path = root / "_run/journal/000001.vlj"
    content = bytearray(path.read_bytes())
    place = chance.randrange(content.rfind(b"VLJ\x01"))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@names("segment_removed", stopped=True)
def a_segment_removed_early(root: Path, chance: random.Random) -> None:
    (root / "_run/journal/000001.vlj").unlink()


@names("segment_unreadable", stopped=True)
def a_segment_that_is_no_file(root: Path, chance: random.Random) -> None:
    (root / "_run/journal/000007.vlj").mkdir()


@names("unplanned", stopped=True)
def a_frame_of_another_output(root: Path, chance: random.Random) -> None:
    frame = chance.choice([answer(0, shard=99), answer(50, shard=1), answer(0, task="moderate"), ended(9)])
    (root / "_run/journal/000007.vlj").write_bytes(encode(frame))


@names("key_wrong", stopped=True)
def a_frame_with_another_key(root: Path, chance: random.Random) -> None:
    (root / "_run/journal/000007.vlj").write_bytes(encode(answer(0)))


# What a plain reader sees


@names("foreign_parquet")
def a_foreign_parquet_file(root: Path, chance: random.Random) -> None:
    folder = chance.choice(["data", "data/caption", "failures/ocr", "data/caption/old", "data/other"])
    (root / folder).mkdir(exist_ok=True)
    name = chance.choice(["mine.parquet", "part-1-1.parquet", "part-99999999999-000001.parquet", ".x.PARQUET"])
    shutil.copy(one(root, "data/*/part*.parquet", chance), root / folder / name)


@names("parquet_in_run")
def a_parquet_file_under_run(root: Path, chance: random.Random) -> None:
    (root / "_run" / "tmp").mkdir(exist_ok=True)
    (root / "_run" / chance.choice(["tmp", "plan", "."]) / "x.parquet").write_bytes(b"PAR1")


# The mark of a finished output


@names("success_unanswered")
def success_over_rows_that_are_not_there(root: Path, chance: random.Random) -> None:
    if not (root / "_SUCCESS").exists():
        (root / "_SUCCESS").touch()
        return
    one(root, "failures/*/shard-000005-*", chance).unlink()


@names("success_retryable", stopped=True)
@names("success_uncommitted", stopped=True)
def success_left_standing(root: Path, chance: random.Random) -> None:
    (root / "_SUCCESS").touch()


@names("success_retryable", stopped=False)
def a_final_failure_made_one_that_may_pass(root: Path, chance: random.Random) -> None:
    again = datetime(2023, 1, 1, tzinfo=UTC)
    rewrite(one(root, "failures/*/shard-000005-*", chance), changed("retryable", True))
    rewrite(one(root, "failures/*/shard-000005-*", chance), changed("next_try_at", again))
