"""What a HEAD request is told, as carefully as a fetch."""

from __future__ import annotations

import pytest

from pipeline.storage.web import Probe
from tests.storage.fetching import failing, fetching
from tests.support.rude_server import Page, answer, head, raw, redirect

HEADERS = (("Content-Type", "image/png"), ("X-A", "b"))


@pytest.mark.parametrize(
    ("page", "probe"),
    [
        (answer(200, b"x" * 70, HEADERS), Probe(200, "image/png", 70, False)),
        (raw(head(200, ("Connection", "close"))), Probe(200, None, None, False)),
        (redirect("/b"), Probe(200, "image/png", 7, True)),
        (redirect("/none"), Probe(404, None, 0, True)),
        (answer(405), Probe(405, None, 0, False)),
        (answer(403), Probe(403, None, 0, False)),
        (answer(503), Probe(503, None, 0, False)),
        (answer(200, b"x" * 2000), Probe(200, None, 2000, False)),
    ],
)
def test_a_probe_says_what_it_was_told(page: Page, probe: Probe) -> None:
    found, server = fetching({"/a": page, "/b": answer(200, b"x" * 7, HEADERS)}, method="probe", max_bytes=1000)
    assert found == probe
    assert {visit.method for visit in server.visits} == {"HEAD"}


def test_a_probe_is_as_careful_as_a_fetch() -> None:
    for page, kind in (
        (redirect("file:///etc/passwd"), "blocked_address"),
        (redirect("/a"), "fetch_failed"),
        (raw(b"", reset=True), "fetch_failed"),
    ):
        failing({"/a": page}, kind, method="probe")
