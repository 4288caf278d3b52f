"""How long answers took: copies took no time of their own, unknown is not nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ledger.latency import median_latency
from pipeline.ledger.parts import data_path


def test_the_median_of_the_newest_answers(tmp_path: Path) -> None:
    assert median_latency(tmp_path) is None
    for sequence in range(1, 6):
        rows = {"latency_ms": [1000 * sequence, None, 1], "dedup_of": [None, None, "a"]}
        table = pa.table(rows, schema=pa.schema([("latency_ms", pa.int64()), ("dedup_of", pa.string())]))
        pq.write_table(table, data_path(tmp_path, 1, sequence))
    assert median_latency(tmp_path) == 3.5, "of the last four parts"
