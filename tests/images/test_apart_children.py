"""The children themselves: how many there are, what they see, and that none outlives its run."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync
from PIL import Image

from pipeline.core.errors import ItemError, RunError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.apart import Apart
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.images.drawings import JPEG_PNG, encoded, photo
from tests.images.flawed import SEGFAULT, SPIN, Sign, children, flawed, program, sign

__all__ = ["flawed", "sign"]  # fixtures

SOUND = encoded(photo(90, 60), "TIFF")
CONTRACT = ImageContract(1024)
RULES = ServerRules(JPEG_PNG)
ME = os.getpid()


@pytest.fixture
def apart() -> Iterator[Apart]:
    with closing(Apart(2)) as opened:
        yield opened
    assert not children(os.getpid())


def _await_end(pid: int) -> None:
    """Wait until a process that is not ours is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        assert waiting.poll(60_000), f"process {pid} lives on"
    finally:
        os.close(handle)


def test_children_come_when_they_are_needed_and_stay(apart: Apart) -> None:
    assert not children(ME)
    apart.prepare(SOUND, CONTRACT, RULES)
    first = children(ME)
    assert len(first) == 1
    with pytest.raises(ItemError):
        apart.prepare(b"text", CONTRACT, RULES)
    apart.prepare(SOUND, CONTRACT, RULES)
    assert children(ME) == first, "a failure wears nothing out"


def test_several_threads_share_no_more_children_than_allowed(flawed: None, apart: Apart) -> None:
    """Each gets its own picture back, in whatever company."""
    evil = [program(SEGFAULT), program("bytearray(10**11)"), program("import os; os.write(3, b'noise')")]
    sound = [encoded(photo(40 + 7 * n, 30 + n), name) for n in range(12) for name in ("TIFF", "GIF", "BMP")]
    most = 0

    def work(source: bytes) -> tuple[PreparedImage, ...] | str:
        nonlocal most
        try:
            images = apart.prepare(source, CONTRACT, RULES)
        except ItemError as error:
            return error.message
        most = max(most, len(children(ME)))
        return images

    mixed = [source for n, one in enumerate(sound) for source in ((one, evil[n % 3]) if n % 4 == 0 else (one,))]
    with ThreadPoolExecutor(6) as pool:
        got = dict(zip(mixed, pool.map(work, mixed), strict=True))
    assert all(got[source] == prepared(source, CONTRACT, RULES) for source in sound)
    assert all(isinstance(got[source], str) for source in evil)
    assert 1 <= most <= 2


def test_a_child_that_is_killed_once_is_nobodys_verdict(flawed: None, apart: Apart, sign: Sign, tmp_path: Path) -> None:
    """The kernel ends it when memory is short: the picture is tried again, and comes out."""
    flag = tmp_path / "go"
    source = program(f"{sign.code}\nwhile not os.path.exists({str(flag)!r}): pass", SOUND)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(apart.prepare, source, CONTRACT, RULES)
        first = sign.wait()
        os.kill(first, signal.SIGKILL)
        second = sign.wait()
        flag.touch()
        assert second != first
        assert result.result() == prepared(SOUND, CONTRACT, RULES)


def test_a_child_that_is_killed_twice_is_a_crash(flawed: None, apart: Apart, sign: Sign) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(apart.prepare, program(sign.code + SPIN), CONTRACT, RULES)
        for _ in range(2):
            os.kill(sign.wait(), signal.SIGKILL)
        with pytest.raises(ItemError, match="the decoder crashed on it") as caught:
            result.result()
    assert caught.value.kind == "unreadable"
    assert apart.prepare(SOUND, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)


def test_a_child_that_dies_while_idle_is_not_noticed(apart: Apart) -> None:
    apart.prepare(SOUND, CONTRACT, RULES)
    (pid,) = children(ME)
    os.kill(pid, signal.SIGKILL)
    assert apart.prepare(SOUND, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)
    assert pid not in children(ME)


def test_a_bad_end_is_confirmed_by_a_fresh_child(flawed: None, apart: Apart, sign: Sign, tmp_path: Path) -> None:
    """Not by another one that has had its share of pictures."""
    flag = tmp_path / "go"
    wearing = program(f"{sign.code}import sys; sys.worn = True\nwhile not os.path.exists({str(flag)!r}): pass", SOUND)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(apart.prepare, wearing, CONTRACT, RULES)
            sign.wait()
        flag.touch()
    assert len(children(ME)) == 2
    fragile = program("import sys, ctypes\nif hasattr(sys, 'worn'): ctypes.string_at(0)", SOUND)
    assert apart.prepare(fragile, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)


def test_an_idle_child_has_no_clock_over_it() -> None:
    with closing(Apart(1, wall_s=0.4)) as one:
        one.prepare(SOUND, CONTRACT, RULES)
        (pid,) = children(ME)
        handle = os.pidfd_open(pid)
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        assert not waiting.poll(800), "it is still there after twice the time of a picture"
        os.close(handle)


def test_reading_a_picture_is_not_on_the_account_of_the_last_one(flawed: None, apart: Apart) -> None:
    nearly = program("import signal; signal.setitimer(signal.ITIMER_PROF, 0.03)", SOUND)
    assert apart.prepare(nearly, CONTRACT, RULES)
    large = b"P6\n3 2\n255\n" + bytes(240_000_000)
    assert apart.prepare(large, CONTRACT, RULES)


def test_closing_ends_idle_and_busy_children_and_makes_no_verdict(flawed: None, sign: Sign) -> None:
    apart = Apart(3)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(apart.prepare, program(sign.code + SPIN), CONTRACT, RULES)
        sign.wait()
        apart.prepare(SOUND, CONTRACT, RULES)
        assert len(children(ME)) == 2
        apart.close()
        assert not children(ME)
        with pytest.raises(RunError, match="closed"):
            waiting.result()
    with pytest.raises(RunError, match="closed"):
        apart.prepare(SOUND, CONTRACT, RULES)
    assert not children(ME)
    apart.close()


def test_a_run_that_is_given_up_does_not_wait_for_its_pictures(flawed: None, apart: Apart, sign: Sign) -> None:
    async def given_up() -> bool:
        async with anyio.create_task_group() as group:
            group.start_soon(run_sync, apart.prepare, program(sign.code + SPIN), CONTRACT, RULES)
            pid = await run_sync(sign.wait)
            group.cancel_scope.cancel()
        return pid in children(ME)

    assert not anyio.run(given_up)
    assert apart.prepare(SOUND, CONTRACT, RULES) == prepared(SOUND, CONTRACT, RULES)


_PARENT = """
import sys, threading
from pipeline.core.pictures import ImageContract
from pipeline.images.apart import Apart
from pipeline.images.rules import ServerRules
apart, job = Apart(2, cpu_s=600, wall_s=4), (ImageContract(9), ServerRules(frozenset()))
busy, idle = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
threading.Thread(target=apart.prepare, args=(busy, *job), daemon=True).start()
apart.prepare(idle, *job)
print("idle", flush=True)
threading.Event().wait()
"""


def test_no_child_outlives_a_parent_that_is_killed(flawed: None, sign: Sign, tmp_path: Path) -> None:
    (tmp_path / "busy").write_bytes(program(sign.code + SPIN))
    (tmp_path / "idle").write_bytes(SOUND)
    command = [sys.executable, "-c", _PARENT, str(tmp_path / "busy"), str(tmp_path / "idle")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        sign.wait()
        assert parent.stdout.readline() == "idle\n"
        orphans = children(parent.pid)
        assert len(orphans) == 2
        parent.kill()
    for pid in orphans:
        _await_end(pid)


def test_a_child_sees_no_secret(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw-secret")
    apart.prepare(SOUND, CONTRACT, RULES)
    (pid,) = children(ME)
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"secret" not in environment
    assert b"FIREWORKS" not in environment


def test_a_signal_from_the_terminal_does_not_reach_a_child(apart: Apart) -> None:
    apart.prepare(SOUND, CONTRACT, RULES)
    (pid,) = children(ME)
    assert os.getpgid(pid) != os.getpgrp()
    assert os.getsid(pid) != os.getsid(0)


def test_a_child_holds_nothing_of_the_last_picture(flawed: None, apart: Apart) -> None:
    large = encoded(Image.new("RGBA", (5000, 4000)), "PNG")
    apart.prepare(large, CONTRACT, RULES)
    had_it = children(ME)
    little = "import resource\nheld = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
    assert apart.prepare(program(little + "assert held < 60_000_000, held", SOUND), CONTRACT, RULES)
    assert children(ME) == had_it, "the assertion held in the child that had the large picture"


def test_a_child_starts_light() -> None:
    code = "import sys; import pipeline.images.apart_child; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pyarrow", "numpy", "pydantic", "anyio", "asyncio", "httpx", "aiohttp", "structlog", "pypdfium2", "ssl"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
def test_a_child_that_cannot_start_ends_the_run(program: str, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that is broken must not turn every picture into a failure for good."""
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(RunError, match="The process that decodes pictures does not start: "):
        apart.prepare(SOUND, CONTRACT, RULES)


def test_a_folder_with_a_module_of_ours_in_it_is_not_imported(
    apart: Apart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People start runs in folders full of other people's files."""
    (tmp_path / "PIL.py").write_text("raise SystemExit(1)", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(Path(entry).absolute()) for entry in sys.path])
    monkeypatch.chdir(tmp_path)
    assert apart.prepare(SOUND, CONTRACT, RULES)


def test_threads_wait_for_a_child_when_all_are_busy() -> None:
    with closing(Apart(1)) as one:
        done: list[int] = []

        def work(number: int) -> None:
            one.prepare(SOUND, CONTRACT, RULES)
            done.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [0, 1, 2, 3, 4]
        assert len(children(ME)) == 1
