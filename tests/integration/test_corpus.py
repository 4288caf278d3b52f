"""The real command over more than two thousand odd, damaged and hostile files, twice.

`python -m tests.corpus FOLDER` writes the same files to look at.
"""

from __future__ import annotations

import re
import time
from binascii import a2b_base64
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.manifests.directory import SUFFIXES
from tests.corpus import Member, written
from tests.corpus.sent import flaws
from tests.integration.command import Ended, Job
from tests.support import scripts
from tests.support.exchange import Reply, Request
from tests.support.fake_server import FakeServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

FILES = 2200
SEED = 7
MAX_SIDE = 640
PATIENCE = 200.0
"""Seconds for one run; it takes about fifteen on an idle machine of two cores."""

MAX_MEMORY = 1.5e9
"""Bytes of the process and all its children at one time. The corpus has six pictures at the cap of pixels in a row:
decoded side by side they take more."""

PLAIN = re.compile(r"\d{5}[.\w]*")
"""Names that are a number alone, with any suffix."""


@dataclass
class Outcome:
    """One run over the corpus."""

    ended: Ended
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    memory: int

    @property
    def verdicts(self) -> dict[str, str]:
        """Key to "row" or the kind of failure."""
        return {row["key"]: "row" for row in self.rows} | {row["key"]: row["kind"] for row in self.failures}


@dataclass
class Listener:
    """A script for the fake server that keeps each picture's base64 payloads by the id of the request."""

    payloads: dict[str, list[bytes]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Reply:
        self.payloads[request.request_id] = request.images_base64()
        return scripts.caption()(request)


@dataclass
class Whole:
    """Everything that two runs over one corpus, and one over its oddly named files as a folder, left behind."""

    folder: Path
    members: dict[str, Member]
    first: Outcome
    second: Outcome
    odd: Outcome
    heard: dict[str, list[bytes]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("corpus")
    members = {member.image: member for member in written(folder / "pictures", FILES, SEED)}
    listing, listening = folder / "pictures" / "corpus.jsonl", Listener()
    (folder / "odd").mkdir()
    for path in (folder / "pictures" / "files").iterdir():
        if not PLAIN.fullmatch(path.name):
            (folder / "odd" / path.name).hardlink_to(path)
    with FakeServer(listening, keep=False) as server:
        first = _run(folder / "first", listing, server)
        server.script = scripts.caption()
        second = _run(folder / "second", listing, server)
        odd = _run(folder / "third", folder / "odd", server)
    return Whole(folder, members, first, second, odd, listening.payloads)


def _run(folder: Path, manifest: Path, server: FakeServer) -> Outcome:
    folder.mkdir()
    job = Job(folder, manifest, server.base_url, images={"max_side": MAX_SIDE})
    most, give_up_at = 0, time.monotonic() + PATIENCE
    with job.start() as running:
        while running.process.poll() is None and time.monotonic() < give_up_at:
            most = max(most, sum(map(_resident, _tree(running.pid))))
            time.sleep(0.05)  # between two looks
        ended = running.end(1.0)
    return Outcome(ended, job.rows(), job.failures(), most)


def _tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return [pid]  # it has just ended
    return [pid, *(found for names in children for name in names for found in _tree(int(name)))]


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0  # it has just ended


def test_both_runs_end_by_themselves_and_without_a_traceback(whole: Whole) -> None:
    for outcome in (whole.first, whole.second, whole.odd):
        print(f"{outcome.ended.seconds:.0f} s, {outcome.memory / 1e6:.0f} MB, {Counter(outcome.verdicts.values())}")
        assert outcome.ended.code == 0, outcome.ended.stderr[-3000:]
        assert "Traceback" not in outcome.ended.stderr + outcome.ended.stdout
        assert outcome.ended.errors == []


def test_every_file_is_one_row_or_one_failure(whole: Whole) -> None:
    for outcome in (whole.first, whole.second):
        keys = [row["key"] for row in (*outcome.rows, *outcome.failures)]
        assert sorted(keys) == sorted(whole.members)
    assert len(whole.members) == FILES
    assert sum((whole.folder / "pictures" / image).stat().st_size for image in whole.members) < 300e6


def test_a_folder_of_odd_names_is_read_like_a_listing_of_them(whole: Whole) -> None:
    names = [path.name for path in (whole.folder / "odd").iterdir()]
    expected = {name for name in names if Path(name).suffix.lower() in SUFFIXES}
    assert len(expected) > 200
    assert sorted(row["key"] for row in (*whole.odd.rows, *whole.odd.failures)) == sorted(expected)
    assert whole.odd.verdicts == {name: whole.first.verdicts[f"files/{name}"] for name in expected}


def test_no_verdict_is_wrong(whole: Whole) -> None:
    said = {row["key"]: row["message"] for row in whole.first.failures}
    wrong = [
        f"{key!r} ({member.what}) became {verdict}: {said.get(key)}; right is {', '.join(sorted(member.outcomes))}"
        for key, member in whole.members.items()
        if (verdict := whole.first.verdicts[key]) not in member.outcomes
    ]
    assert not wrong, "\n".join([f"{len(wrong)} wrong verdicts", *wrong])


def test_the_server_got_clean_pictures_alone(whole: Whole) -> None:
    asked = {row["request_id"]: row["key"] for row in whole.first.rows if row["dedup_of"] is None}
    assert set(asked) == set(whole.heard), "each was heard once, none was heard that has no row"
    wrong = []
    for request_id, payloads in whole.heard.items():
        member = whole.members[asked[request_id]]
        assert len(payloads) == 1, member
        found = flaws(a2b_base64(payloads[0]), MAX_SIDE, upright=member.upright)
        if found:
            wrong.append(f"{member.image!r} ({member.what}): {', '.join(found)}")
    assert not wrong, "\n".join([f"{len(wrong)} flawed pictures", *wrong])


def test_a_second_run_says_the_same_of_every_file(whole: Whole) -> None:
    columns = ("key", "image_sha256", "request_sha256", "width", "height", "sent_width", "sent_height")
    for names, one, other in (
        (columns, whole.first.rows, whole.second.rows),
        ((*columns, "kind", "message"), whole.first.failures, whole.second.failures),
    ):
        first, second = ([tuple(row[name] for name in names) for row in rows] for rows in (one, other))
        assert first == second


def test_no_message_names_a_place_in_memory(whole: Whole) -> None:
    assert not [row["message"] for row in whole.first.failures if " at 0x" in row["message"]]


def test_memory_stays_bounded(whole: Whole) -> None:
    most = max(whole.first.memory, whole.second.memory)
    assert most < MAX_MEMORY, f"{most / 1e6:.0f} MB"
