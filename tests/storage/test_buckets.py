"""Grouping on the disk: equal digests meet, order is kept, nothing stays behind."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError
from pipeline.storage import buckets
from pipeline.storage.buckets import Buckets, digest_of


@pytest.mark.parametrize(("whole", "most"), [(2**20, 60), (100, 4)])
def test_equal_digests_meet_in_the_order_of_adding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, most: int
) -> None:
    monkeypatch.setattr(buckets, "_BUFFER_BYTES", 64)  # so that most records go through the files
    monkeypatch.setattr(buckets, "_WHOLE_BYTES", whole)
    added = [(digest_of(f"key-{number % 700}"), number, number / 2) for number in range(5_000)]
    with Buckets(tmp_path / "tmp", "keys", "Id") as spread:
        for record in added:
            spread.add(*record)
        assert list((tmp_path / "tmp").iterdir())
        found = list(spread)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(record for bucket in found for record in bucket) == sorted(added)
    homes: dict[bytes, set[int]] = {}
    for number, bucket in enumerate(found):
        for digest, *_ in bucket:
            homes.setdefault(digest, set()).add(number)
        for digest in {record[0] for record in bucket}:
            order = [record[1] for record in bucket if record[0] == digest]
            assert order == sorted(order)
    assert all(len(home) == 1 for home in homes.values())
    assert len(homes) == 700
    assert max(len({digest for digest, *_ in bucket}) for bucket in found) <= most
    ordered = [sorted({digest for digest, *_ in bucket}) for bucket in found]
    assert list(chain.from_iterable(ordered)) == sorted(homes), "groups are in the order of their digests"


def test_what_a_killed_process_left_is_not_read(tmp_path: Path) -> None:
    stale = Buckets(tmp_path, "keys", "I")
    stale._buffers[7] += b"x" * 20
    stale._flush(7)
    with Buckets(tmp_path, "keys", "I") as spread:
        spread.add(digest_of("a"), 1)
        assert [record for bucket in spread for record in bucket] == [(digest_of("a"), 1)]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(buckets, "_BUFFER_BYTES", 1)
    with Buckets(tmp_path, "keys", "I") as spread:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(LedgerError, match="The disk is full"):
            spread.add(digest_of("a"), 1)
        monkeypatch.undo()


def test_keys_that_are_no_text_have_a_digest() -> None:
    assert len({digest_of(key) for key in ("", "a", "\udc80", "\ud800x")}) == 4
