"""Where a row's picture lies: what a manifest may name depends on where it lies itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.manifests.places import Place, name_in_key, place_of

HERE = "/data/set/list.csv"
AWAY = "s3://bucket/set/list.csv"


@pytest.mark.parametrize(
    ("written", "here", "away"),
    [
        ("a.jpg", Place(path="/data/set/a.jpg"), Place(url="s3://bucket/set/a.jpg")),
        ("deep/a b.jpg", Place(path="/data/set/deep/a b.jpg"), Place(url="s3://bucket/set/deep/a b.jpg")),
        ("../a.jpg", Place(path="/data/set/../a.jpg"), Place(url="s3://bucket/a.jpg")),
        ("https://h/a.jpg?x=1", Place(url="https://h/a.jpg?x=1"), Place(url="https://h/a.jpg?x=1")),
        ("gs://other/a.jpg", Place(url="gs://other/a.jpg"), Place(url="gs://other/a.jpg")),
        ("/else/a.jpg", Place(path="/else/a.jpg"), None),
        ("file:///else/a%20b.jpg", Place(path="/else/a b.jpg"), None),
        ("FILE://localhost/a.jpg", Place(path="/a.jpg"), None),
        ("file:/a.jpg", Place(path="/a.jpg"), None),
        ("file://host/a.jpg", None, None),
        ("../../a.jpg", Place(path="/data/set/../../a.jpg"), None),
        ("ftp://h/a.jpg", None, None),
        ("zip://a.jpg::https://h/b.zip", None, None),
    ],
)
def test_a_manifest_names_what_it_may(written: str, here: Place | None, away: Place | None) -> None:
    for manifest, expected in ((HERE, here), (AWAY, away)):
        if expected is not None:
            assert place_of(written, manifest) == expected
            continue
        with pytest.raises(ItemError) as caught:
            place_of(written, manifest)
        assert caught.value.kind == "bad_row"


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", "/", "a", "file:", "//", ".", "\\"])).map("".join))
def test_a_manifest_in_a_store_never_leads_to_this_machine(written: str) -> None:
    try:
        place = place_of(written, AWAY)
    except ItemError:
        return
    assert place.path is None
    assert place.url is not None
    assert not place.url.lower().startswith("file")


def test_signatures_are_no_part_of_a_key() -> None:
    assert name_in_key("https://h/a.jpg?X-Amz-Signature=secret") == "https://h/a.jpg"
    assert name_in_key(str(Path("a?b.jpg"))) == "a?b.jpg"
