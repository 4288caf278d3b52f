"""Files of this machine: pictures are read or say why not; a file that counts is created once and whole."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.errors import ItemError, LedgerError
from pipeline.core.types import ManifestRow
from pipeline.storage import local
from pipeline.storage.local import LocalFetcher, create, make_folder, publish, replace, write_error


def row(path: Path | str) -> ManifestRow:
    return ManifestRow(1, 0, "key", "the picture", str(path))


def refused(path: Path | str) -> tuple[str, str]:
    """The kind and message with which a fetch fails."""
    with pytest.raises(ItemError) as caught:
        LocalFetcher().fetch(row(path))
    assert caught.value.meaning.stage == "fetch"
    return caught.value.kind, caught.value.message


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_picture_is_read_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "a.jpg").write_bytes(content)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "empty.jpg").touch()
    assert LocalFetcher().fetch(row(tmp_path / "a.jpg")) == content
    assert LocalFetcher().fetch(row(tmp_path / "link.jpg")) == content
    assert LocalFetcher().fetch(row(tmp_path / "empty.jpg")) == b""


def test_a_missing_picture_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    for path in (tmp_path / "gone.jpg", tmp_path / "file/inside.jpg", tmp_path / "dangling.jpg", ""):
        assert refused(path) == ("not_found", "there is no file the picture")


def test_what_is_no_file_is_not_read_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    before = open_descriptors()
    for path in (tmp_path, tmp_path / "pipe.jpg", Path("/dev/zero")):
        assert refused(path) == ("not_found", "the picture is not a file but a folder, a pipe or a device")
    # Fewer, where what earlier tests left is collected meanwhile.
    assert open_descriptors() <= before, "a listing full of folders must not use up the open files"


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EACCES, "forbidden", "no permission to read the picture"),
        (errno.EPERM, "forbidden", "no permission to read the picture"),
        (errno.ELOOP, "not_found", "cannot read the picture: Too many levels of symbolic links"),
        (errno.EIO, "fetch_failed", "cannot read the picture: Input/output error"),
        (errno.EMFILE, "fetch_failed", "cannot read the picture: Too many open files"),
    ],
)
def test_what_the_system_refuses_has_a_kind(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: str, message: str
) -> None:
    def broken(*_: object) -> int:  # as root nothing is forbidden, so the system's answer is played
        raise OSError(number, os.strerror(number), "/a/path/that/is/nobody's/business")

    monkeypatch.setattr(os, "open", broken)
    assert refused("a.jpg") == (kind, message)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so the test gives that up for a moment; anybody else stays who they are."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_forbidden_picture() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others from the top on
        Path(folder).chmod(0o755)
        (Path(folder) / "shut.jpg").touch(mode=0o600)
        (Path(folder) / "shut.jpg").chmod(0)
        (Path(folder) / "open.jpg").write_bytes(b"picture")
        with as_nobody():
            assert LocalFetcher().fetch(row(Path(folder) / "open.jpg")) == b"picture"
            assert refused(Path(folder) / "shut.jpg") == ("forbidden", "no permission to read the picture")


def test_a_path_that_no_system_takes(tmp_path: Path) -> None:
    assert refused("a\0b.jpg") == ("not_found", "no file can have this name: embedded null byte")
    assert refused("x" * 300)[0] == "not_found"


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 1001)
    monkeypatch.setattr(local, "MAX_SOURCE_BYTES", 1000)
    assert refused(tmp_path / "a.jpg") == ("too_large", "the picture has 1,001 bytes; the limit is 1,000")
    monkeypatch.setattr(local, "MAX_SOURCE_BYTES", 1001)
    assert len(LocalFetcher().fetch(row(tmp_path / "a.jpg"))) == 1001


# A file that counts is created once and whole


@pytest.fixture(params=["links", "no-links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With hard links, and without them as on FAT and some network mounts."""
    if request.param == "no-links":

        def no_links(*_: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", no_links)
    return str(request.param)


@pytest.mark.usefixtures("file_system")
def test_a_name_is_given_once(tmp_path: Path) -> None:
    final, scratch = tmp_path / "deep/er/final", tmp_path / "tmp"
    assert create(final, b"first", scratch)
    assert not create(final, b"second", scratch)
    assert final.read_bytes() == b"first"
    assert list(scratch.iterdir()) == []
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.usefixtures("file_system")
def test_the_bytes_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final, scratch = tmp_path / "final", tmp_path / "scratch"
    scratch.write_bytes(b"content")
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, final.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    assert publish(scratch, final)
    assert synced == [("scratch", False), (tmp_path.name, True)], "the content, then the name in its folder"
    assert not scratch.exists()


def test_a_derived_file_is_replaced_whole(tmp_path: Path) -> None:
    final, scratch = tmp_path / "out/summary.json", tmp_path / "tmp"
    replace(final, b"first", scratch)
    reader = final.open("rb")
    replace(final, b"second", scratch)
    with reader:
        assert reader.read() == b"first", "who has it open keeps the old one"
    assert final.read_bytes() == b"second"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:3])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", full)
    message = (
        rf"The disk is full, or a size limit is reached \({os.strerror(number)}\): .*final could not be written. "
        "Every answer acknowledged so far is kept. Free some space and run the same command again."
    )
    for write in (create, replace):
        with pytest.raises(LedgerError, match=message):
            write(tmp_path / "final", b"content", tmp_path / "tmp")
    assert not (tmp_path / "final").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_any_other_failed_write_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(write_error(OSError(errno.EIO, "Input/output error"), Path("a/b"))) == (
        "Cannot write a/b: Input/output error."
    )
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"Cannot write .*file/folder: Not a directory"):
        make_folder(tmp_path / "file/folder")
    with pytest.raises(LedgerError, match=r"Cannot write .*file/final: "):
        create(tmp_path / "file/final", b"", tmp_path / "tmp")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(LedgerError, match=r"Cannot write .*final: Input/output error"):
        create(tmp_path / "final", b"", tmp_path / "tmp")
    assert not (tmp_path / "final").exists()
