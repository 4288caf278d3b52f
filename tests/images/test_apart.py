"""Decoding apart: whatever a file does to its decoder ends as the failure of one row, and the next picture goes on."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.apart import Apart, tame
from pipeline.images.pillow import FORMATS, MAX_PIXELS
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.images.drawings import JPEG_PNG, corners, encoded, photo
from tests.images.flawed import SEGFAULT, SLEEP, SPIN, children, flawed, program, sign

__all__ = ["flawed", "sign"]  # fixtures

SOUND = encoded(photo(90, 60), "TIFF")
CONTRACT = ImageContract(1024)
RULES = ServerRules(JPEG_PNG)
Opener = Callable[..., Apart]


@pytest.fixture
def open_apart() -> Iterator[Opener]:
    opened: list[Apart] = []

    def open_one(count: int = 1, **limits: float) -> Apart:
        opened.append(Apart(count, **limits))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for apart in opened:
        apart.close()
    assert not children(os.getpid()), "no child is left over"


def _refused(apart: Apart, source: bytes, contract: ImageContract = CONTRACT) -> str:
    """The message of the failure, which is the same every time; after each of them the next picture goes on."""
    messages = set()
    for _ in range(2):
        with pytest.raises(ItemError) as caught:
            apart.prepare(source, contract, RULES)
        assert caught.value.kind == "unreadable"
        assert caught.value.__cause__ is None, "nothing of the machinery is told"
        messages.add(caught.value.message)
        assert apart.prepare(SOUND, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)
    (message,) = messages
    return message


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("side", [40, 1024])
def test_a_picture_comes_out_as_it_does_in_the_run_itself(name: str, side: int, open_apart: Opener) -> None:
    source, contract = encoded(photo(90, 60), name), ImageContract(side)
    rules = ServerRules(JPEG_PNG, 10_000, 3)
    assert open_apart().prepare(source, contract, rules) == prepared(source, contract, rules)


@pytest.mark.parametrize(
    "source",
    [b"", b"plain text", SOUND[:-40], b"BM" + b"\0" * 60, encoded(Image.new("L", (900, 3)), "TIFF")],
    ids=["empty", "text", "torn", "damaged", "thin"],
)
def test_a_failure_comes_out_as_it_does_in_the_run_itself(source: bytes, open_apart: Opener) -> None:
    with pytest.raises(ItemError) as here:
        prepared(source, CONTRACT, RULES)
    with pytest.raises(ItemError) as there:
        open_apart().prepare(source, CONTRACT, RULES)
    assert (there.value.kind, there.value.message) == (here.value.kind, here.value.message)


def test_every_word_of_contract_and_rules_arrives(flawed: None, open_apart: Opener) -> None:
    contract = ImageContract(None, 900, "some-family", "all")
    rules = ServerRules(frozenset({"WEBP", "PNG"}), 123, 4)
    code = f"""
import inspect
there = inspect.currentframe().f_back.f_locals
from pipeline.images.prepare import ImageContract, ServerRules
assert there["contract"] == {contract!r}
assert there["rules"] == {rules!r}
"""
    apart = open_apart()
    with pytest.raises(ItemError) as caught:
        apart.prepare(program(code, b"text"), contract, rules)
    assert caught.value.kind == "not_an_image", "the program went through to its end"


def test_a_picture_that_takes_too_much_computing(open_apart: Opener) -> None:
    """Real: every pixel of a plain PGM is a number in words, which Pillow reads one by one."""
    slow = b"P2\n3000 3000\n255\n" + b"7 " * 9_000_000
    assert _refused(open_apart(cpu_s=0.25), slow) == (
        "decoding takes more than 0.25 s of computing: it is damaged or made to exhaust"
    )


def test_a_picture_that_needs_too_much_memory(open_apart: Opener) -> None:
    """Real: 64 megapixels in a few bytes."""
    large = encoded(Image.new("L", (8000, 8000)), "TIFF", compression="tiff_deflate")
    assert len(large) < 1_000_000
    assert _refused(open_apart(memory_mib=90), large) == (
        "decoding needs more than 90 MiB of memory: it is damaged or made to exhaust"
    )


def test_a_source_that_alone_is_too_much_memory(open_apart: Opener) -> None:
    message = _refused(open_apart(memory_mib=90), b"P6\n2 2\n255\n" + bytes(100_000_000))
    assert message.startswith("decoding needs more than 90 MiB of memory")


@pytest.mark.parametrize(
    "code",
    [
        "bytearray(10**11)",
        "[].append(list(range(10**9)))",
        "from pipeline.core.errors import ItemError; raise ItemError('unreadable', 'x') from MemoryError()",
        "from pipeline.core.errors import ItemError; raise ItemError('unreadable', 'x') from OSError('Out of memory')",
    ],
)
def test_however_memory_runs_out_it_is_said_in_the_same_words(code: str, flawed: None, open_apart: Opener) -> None:
    message = _refused(open_apart(memory_mib=300), program(code))
    assert message == "decoding needs more than 300 MiB of memory: it is damaged or made to exhaust"


@pytest.mark.parametrize(
    "code",
    [SEGFAULT, "raise SystemExit(0)", "raise KeyError", "import os; os.close(3)", "0 / 0"],
)
def test_a_decoder_that_crashes(code: str, flawed: None, open_apart: Opener, capfd: pytest.CaptureFixture[str]) -> None:
    message = _refused(open_apart(), program(code))
    assert message == "the decoder crashed on it: it is damaged or made to exhaust"
    assert capfd.readouterr() == ("", "")


def test_a_decoder_that_loops_and_one_that_waits(flawed: None, open_apart: Opener) -> None:
    assert "more than 0.2 s of computing" in _refused(open_apart(cpu_s=0.2), program(SPIN))
    assert "does not end within 1.5 s" in _refused(open_apart(wall_s=1.5), program(SLEEP))
    stopped = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    assert "does not end within 1.5 s" in _refused(open_apart(wall_s=1.5), program(stopped))


def test_a_document_of_many_pages_may_take_longer(flawed: None, open_apart: Opener) -> None:
    apart = open_apart(cpu_s=0.2)
    message = _refused(apart, program(SPIN), ImageContract(1024, pages="all"))
    assert "more than 1 s of computing" in message
    busy = "import time\nwhile time.process_time() < 0.6: pass"
    assert apart.prepare(program(busy, SOUND), ImageContract(1024, pages="all"), RULES)


def test_time_is_counted_for_each_picture_anew(flawed: None, open_apart: Opener) -> None:
    apart = open_apart(cpu_s=0.5)
    busy = "import time\nbegin = time.process_time()\nwhile time.process_time() - begin < 0.2: pass"
    for _ in range(4):
        assert apart.prepare(program(busy, SOUND), CONTRACT, RULES)
        assert len(children(os.getpid())) == 1


def test_the_verdict_is_the_pictures_own_whatever_was_decoded_before_it(flawed: None, open_apart: Opener) -> None:
    """A child that is worn out by its predecessor's doing crashes on an innocent picture."""
    apart = open_apart()
    worn = "import sys, ctypes\nif hasattr(sys, 'worn'): ctypes.string_at(0)\nsys.worn = True"
    for _ in range(3):
        assert apart.prepare(program(worn, SOUND), CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 12 + b"x" * 100,  # a header of 4 GB
        struct.pack(">IQ", 2, 1 << 40) + b"{}",  # a body larger than a child can hold
        struct.pack(">IQ", 2, 0) + b"{}",
        struct.pack(">IQ", 5, 0) + b"]]]]]",
        b"noise",
    ],
)
def test_an_odd_answer_counts_as_a_crash(answer: bytes, flawed: None, open_apart: Opener) -> None:
    code = f"import os; os.write(3, {answer!r}); os._exit(0)"
    tracemalloc.start()
    assert _refused(open_apart(), program(code)).startswith("the decoder crashed on it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000, "no memory is set aside for what it only claims"


def test_an_answer_that_trickles_is_not_waited_for(flawed: None, open_apart: Opener) -> None:
    code = """
import os, signal, time
signal.setitimer(signal.ITIMER_REAL, 0)
os.write(3, b"\\0\\x0f\\0\\0" + bytes(8))
while True: os.write(3, b" "); time.sleep(0.05)
"""
    assert "does not end within 1.5 s" in _refused(open_apart(wall_s=1.5), program(code))


def test_what_codecs_print_spoils_neither_the_answer_nor_the_terminal(
    flawed: None, open_apart: Opener, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = program("import os; os.write(1, b'noise'); os.write(2, b'a warning')", SOUND)
    assert open_apart().prepare(noisy, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)
    assert capfd.readouterr() == ("", "")


def test_a_child_writes_no_file(flawed: None, open_apart: Opener, tmp_path: pytest.TempPathFactory) -> None:
    place = f"{tmp_path}/written"
    code = f"file = open({place!r}, 'wb', 0); file.write(b'x')"
    assert "crashed" in _refused(open_apart(), program(code))


def test_a_large_source_goes_through_the_pipe(open_apart: Opener) -> None:
    source = b"P6\n3 2\n255\n" + bytes(range(18)) + bytes(150_000_000)
    assert open_apart().prepare(source, CONTRACT, RULES) == prepared(source, CONTRACT, RULES)


def test_a_large_answer_comes_back(open_apart: Opener) -> None:
    source = encoded(Image.effect_noise((3000, 2000), 90), "BMP")
    (image,) = open_apart().prepare(source, ImageContract(None), RULES)
    assert len(image.data) > 1_000_000
    assert (image,) == prepared(source, ImageContract(None), RULES)


@pytest.mark.slow
def test_the_largest_transparent_picture_fits_the_memory(open_apart: Opener) -> None:
    width, height = 9458, 9460
    assert MAX_PIXELS - 10_000 < width * height <= MAX_PIXELS
    packed = zlib.compressobj(1)
    row = b"\0" + b"\x10\x20\x30\x80" * width
    pixels = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    source = _png_chunks(struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0), pixels)
    (image,) = open_apart().prepare(source, ImageContract(500), RULES)
    assert isinstance(image, PreparedImage)
    assert (image.width, image.height, max(image.sent_width, image.sent_height)) == (width, height, 500)


def _png_chunks(header: bytes, pixels: bytes) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("name", FORMATS)
def test_what_explodes_goes_apart(name: str) -> None:
    assert tame(encoded(corners(), name)) == (name in {"JPEG", "PNG", "WEBP"})


def test_a_jpeg_of_absurdly_many_scans_goes_apart() -> None:
    progressive = encoded(photo(90, 60), "JPEG", progressive=True)
    assert tame(progressive)
    begin, end = progressive.rindex(b"\xff\xda"), progressive.rindex(b"\xff\xd9")
    assert not tame(progressive[:end] + progressive[begin:end] * 40 + progressive[end:])
    for other in (b"", b"text", b"%PDF-1.7", b"RIFF\0\0\0\0AVI LIST", b"\x89PN"):
        assert not tame(other)
