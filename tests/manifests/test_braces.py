"""Ranges and lists in names, as a shell writes them out."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.braces import expanded


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{000..000}", ["000"]),
        ("{train,test}.csv", ["train.csv", "test.csv"]),
        ("{a,}b", ["ab", "b"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("s3://b/x-{09..10}.tar", ["s3://b/x-09.tar", "s3://b/x-10.tar"]),
        ("{one}", ["{one}"]),
        ("{}", ["{}"]),
    ],
)
def test_names(path: str, names: list[str]) -> None:
    assert expanded(path) == names


def test_a_slip_does_not_fill_the_memory() -> None:
    for path in ("{0..99999999999}", "{0..9999}{0..9999}"):
        with pytest.raises(ManifestError, match="at most 1,000,000 are read"):
            expanded(path)
