"""The journal's frames: what was written is read back, whatever became of the file's end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.outcomes import Frame, Problem
from pipeline.core.types import Facts, RowId
from pipeline.ledger.frames import ERROR_BODY_BYTES, Replay, encode, replay
from tests.ledger.world import answer, problem

_whole = st.integers(-(2**63), 2**63 - 1)
_scalars = st.none() | st.booleans() | _whole | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_sizes = st.none() | st.integers(0, 100_000)
_facts = st.builds(
    Facts,
    key=st.text(),
    uri=st.text(),
    model=st.text(),
    kept=st.dictionaries(st.text(), _scalars, max_size=3),
    prompt_sha256=st.none() | st.text(),
    image_sha256=st.none() | st.text(),
    request_sha256=st.none() | st.text(),
    width=_sizes,
    height=_sizes,
    sent_width=_sizes,
    sent_height=_sizes,
)
_frames = st.builds(
    Frame,
    row=st.builds(RowId, st.text(), st.integers(0, 2**31), st.integers(0, 20_000)),
    facts=_facts,
    attempts=st.integers(0, 100),
    status=st.none() | st.integers(100, 599),
    received_at=st.floats(0, 4e9),
    latency_ms=st.none() | st.integers(0, 10**9),
    request_id=st.none() | st.text(),
    run_id=st.text(),
    body=st.binary(max_size=400),
    problem=st.none() | st.builds(Problem, st.text(), st.text(), st.none() | st.integers(100, 599)),
)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "000001.vlj"


def read(segment: Path, content: bytes) -> tuple[list[Frame], Replay]:
    segment.unlink(missing_ok=True)  # writing over a file makes some file systems wait for the disk
    segment.write_bytes(content)
    *frames, end = replay(segment)
    assert isinstance(end, Replay)
    assert (end.frames, end.total_bytes) == (len(frames), len(content))
    return frames, end


@settings(deadline=None, derandomize=True)
@given(frames=st.lists(_frames, max_size=4))
def test_what_was_written_is_read_back(segment: Path, frames: list[Frame]) -> None:
    content = b"".join(map(encode, frames))

    assert read(segment, content) == (frames, Replay(len(frames), len(content), len(content), damaged=False))


def test_an_answer_is_kept_whole_and_an_error_cut(segment: Path) -> None:
    page = bytes(range(256)) * 4096
    error = problem(1, "http_5xx")
    frames, _ = read(segment, encode(answer(0, page)) + encode(Frame(**{**_values(error), "body": page})))

    assert frames[0].body == page
    assert frames[1].body == page[:ERROR_BODY_BYTES]
    assert ERROR_BODY_BYTES == 4096


FRAMES = [
    answer(0, b"\x00\xff a caf\xc3\xa9 \xf0\x9f\x90\x88"),
    problem(1, "http_429"),
    answer(2, b"VLJ\x01 is only text here"),
    answer(3, ""),
]
CONTENT = b"".join(map(encode, FRAMES))
ENDS = [sum(len(encode(frame)) for frame in FRAMES[:count]) for count in range(len(FRAMES) + 1)]


def whole_frames(size: int) -> int:
    """How many frames lie whole in the first `size` bytes."""
    return max(count for count, end in enumerate(ENDS) if end <= size)


def test_a_journal_cut_anywhere_replays_to_a_true_prefix(segment: Path) -> None:
    for size in range(len(CONTENT) + 1):
        frames, end = read(segment, CONTENT[:size])
        assert frames == FRAMES[: whole_frames(size)], f"cut at {size}"
        assert end.good_bytes == ENDS[len(frames)]
        assert not end.damaged, f"a torn tail at {size} is what every crash leaves"


def test_a_flipped_bit_ends_the_prefix_and_is_told_from_a_torn_tail(segment: Path) -> None:
    for position in range(len(CONTENT)):
        flipped = bytearray(CONTENT)
        flipped[position] ^= 1 << position % 8
        frames, end = read(segment, bytes(flipped))
        before = whole_frames(position)
        assert frames == FRAMES[:before], f"bit flipped at {position}"
        assert end.damaged == (before < len(FRAMES) - 1), f"bit flipped at {position}"


@pytest.mark.parametrize("zeros", [1, 3, 16, 17, 4096])
def test_zeros_behind_the_last_frame_are_a_torn_tail(segment: Path, zeros: int) -> None:
    frames, end = read(segment, CONTENT + bytes(zeros))

    assert frames == FRAMES
    assert (end.good_bytes, end.damaged) == (len(CONTENT), False)


def test_a_tail_of_zeros_from_any_byte_replays_to_a_true_prefix(segment: Path) -> None:
    """A power cut may leave the file's full length, but not its last pages."""
    for size in range(len(CONTENT)):
        frames, end = read(segment, CONTENT[:size] + bytes(len(CONTENT) - size))
        assert frames == FRAMES[: whole_frames(size)], f"zeros from {size}"
        assert not end.damaged


@settings(deadline=None, derandomize=True)
@given(noise=st.binary(max_size=200), at=st.integers(0, len(CONTENT)))
def test_noise_never_makes_a_frame_that_was_not_written(segment: Path, noise: bytes, at: int) -> None:
    frames, _ = read(segment, CONTENT[:at] + noise)

    count = whole_frames(at)
    assert frames[:count] == FRAMES[:count]
    assert frames == FRAMES[: len(frames)]


def _values(frame: Frame) -> dict[str, object]:
    return {name: getattr(frame, name) for name in Frame.__dataclass_fields__}
