"""A prefix in an object store as a manifest: which pictures are found, and under which keys."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.prefix import Prefix
from tests.manifests.pages import keys, only, scanned
from tests.support.moto_store import MotoStore


def test_pictures_below_a_prefix_are_rows(bucket: MotoStore) -> None:
    for key in ("p/b.jpg", "p/a.PNG", "p/deep/c#1.webp", "p/notes.txt", "p/.h.jpg", "pq/d.jpg"):
        bucket.put(key)
    unit = only(bucket.url("p"))
    assert isinstance(unit, Prefix)
    assert keys(unit) == ["a.PNG", "b.jpg", "deep/c#1.webp"]
    assert unit.ignored == 1
    [row] = scanned(unit, [2])
    assert (row.key, row.size, row.path) == ("deep/c#1.webp", 7, None)
    assert row.url == row.uri == bucket.url("p/deep/c#1.webp")
    assert keys(only(bucket.url("p/*.*"))) == ["a.PNG", "b.jpg", "notes.txt"], "a glob takes whatever it matches"
    assert keys(only(bucket.url())) == ["p/a.PNG", "p/b.jpg", "p/deep/c#1.webp", "pq/d.jpg"]


def test_a_changed_object_changes_the_fingerprint(bucket: MotoStore) -> None:
    bucket.put("p/a.jpg", b"old")
    prints = [only(bucket.url("p/")).fingerprint() for _ in range(2)]
    bucket.put("p/a.jpg", b"new")
    prints.append(only(bucket.url("p/")).fingerprint())
    bucket.put("p/notes.txt", b"new")
    prints.append(only(bucket.url("p/")).fingerprint())
    assert prints[0] == prints[1] != prints[2] == prints[3]


def test_columns_and_listings_are_refused_in_words(bucket: MotoStore) -> None:
    with pytest.raises(ManifestError, match="has no columns"):
        only(bucket.url("p/"), keep=("license",))
