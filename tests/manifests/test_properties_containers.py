"""Any tar and any prefix in an object store, whatever the names in it: every picture once, whole or in part."""

from __future__ import annotations

import gzip
import tarfile
from itertools import cycle
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.types import Column
from pipeline.manifests.directory import SUFFIXES
from tests.manifests.model import Expected, hold
from tests.manifests.pages import opened
from tests.manifests.tars import tar_bytes
from tests.support.moto_store import MotoStore

ODD = ["../../etc/{}", "/root/{}", "./{}", "a//{}", "ä ö/{}", "a\nb{}", "x" * 120 + "{}", "d.jpg/{}", "{}", "a%20b{}"]
KEYS = st.lists(
    st.builds(str.format, st.sampled_from(ODD), st.text("abÄ-? ", min_size=1, max_size=4)), unique=True, max_size=8
)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.zst"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    keys=KEYS,
    written=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    contents=st.lists(st.binary(max_size=1300), min_size=12, max_size=12),
    data=st.data(),
)
def test_tars(
    tmp_path_factory: pytest.TempPathFactory,
    ending: str,
    keys: list[str],
    written: int,
    contents: list[bytes],
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("tar") / f"x.{ending}"
    members: list[tuple[str | bytes, bytes]] = [("first.jpg", b"1"), ("first.json", b'{"n":1}'), ("first.txt", b"t")]
    model = [Expected("first", data=b"1", columns={"n": 1, "txt": "t"})]
    for number, (key, content) in enumerate(zip(keys, contents, strict=False)):
        shape = data.draw(st.sampled_from(["whole", "no picture", "nameless between", "broken"]))
        n = b'{"n":%d}' % number if shape != "broken" else b"[1]"
        members += [(f"{key}.json", n), (f"{key}.txt", f"ä{number}".encode())]
        if shape == "nameless between":
            members.append(("README", b"no sample"))
        columns = {"n": number, "txt": f"ä{number}"}
        if shape == "no picture":
            model.append(Expected(key, problem="no_image"))
            continue
        members.append((f"{key}.JPG", content))
        model.append(Expected(key, data=content, columns=columns, problem=None))
        if shape == "broken":
            model[-1] = Expected(key, problem="bad_row")
    kept = [Column("n", "int"), Column("txt", "string")]
    planned = []
    for count in (None, 1):
        entries = [*members, *([("zz.jpg", b"last")] if count else [])]
        path.write_bytes(packed(tar_bytes(entries, written), ending))
        more = [Expected("zz", data=b"last")] if count else []
        planned.append(hold(lambda: opened(path, keep=("n", "txt")), [*model, *more], kept, data.draw))
    assert planned[1][:-1] == planned[0], "a tar that was appended to keeps its rows"


def packed(content: bytes, ending: str) -> bytes:
    if ending.endswith("gz"):
        return gzip.compress(content[:700], 1) + gzip.compress(content[700:], 1)
    return pa.compress(content, "zstd", asbytes=True) if ending.endswith("zst") else content


SEGMENTS = st.one_of(
    st.sampled_from(
        ["ä ö", " a", "a?b#c%20d", "a..b", "a..", "x" * 60, "+", "~", "a\\b", "#", "*", "[1]", "{0..9}", "e\u0301"]
    ),
    st.text("abÄ %#?&=+", min_size=1, max_size=4),
)
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(NAMES, max_size=6), ending=st.sampled_from(["jpg", "PNG", "txt"]), data=st.data())
def test_prefixes(bucket: MotoStore, names: set[str], ending: str, data: st.DataObject) -> None:
    place = f"p{next(_numbers)}"
    keys = sorted({f"{name}.{ending}" for name in names})
    for key in (*keys, "deep/folder/"):
        bucket.put_raw(f"{place}/{key}", b"" if key.endswith("/") else b"x")
    model = [Expected(key, url=bucket.url(f"{place}/{key}")) for key in keys if f".{ending.lower()}" in SUFFIXES]
    hold(lambda: opened(bucket.url(f"{place}/")), model, [], data.draw)


_numbers = iter(range(10**6))


def test_a_folder_of_odd_names(tmp_path: Path) -> None:
    names = [
        " a.jpg",
        "a?b#c%20d.jpg",
        "ä ö/x.jpg",
        "e\u0301.png",
        "new\nline.webp",
        "{0..9}.jpg",
        "[1]*.jpg",
        "\\.gif",
    ]
    for name in names:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"x")
    model = [Expected(name, path=str(tmp_path / "p" / name)) for name in sorted(names)]
    drawn = cycle([{1, 3, 4}, 2])
    hold(lambda: opened(tmp_path / "p"), model, [], lambda _: next(drawn))
