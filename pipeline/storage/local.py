"""Files of this machine: read a picture, create a file atomically, and say what a full disk means.

Nothing here overwrites a file that counts: `create` refuses a taken name; `replace` is for derived files only.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from pipeline.core.errors import DiskFullError, ItemError, LedgerError
from pipeline.core.types import ManifestRow

MAX_SOURCE_BYTES = 256 * 1024 * 1024
"""No picture file larger than this is read: a scan of a whole book page is 100 MB, a disk image is not a picture."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NEVER = {errno.ENAMETOOLONG, errno.ELOOP}
"""No later run will find a file behind such a path."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalFetcher:
    """Reads source pictures from files."""

    def fetch(self, row: ManifestRow) -> bytes:
        """The file's bytes. Raises ItemError: not_found, forbidden, too_large, fetch_failed."""
        path = row.path or ""
        try:
            # O_NONBLOCK: opening a named pipe must fail, not wait for a writer for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                info = os.fstat(descriptor)
                if not stat.S_ISREG(info.st_mode):
                    raise ItemError("not_found", f"{row.uri} is not a file but a folder, a pipe or a device")
                if info.st_size > MAX_SOURCE_BYTES:
                    raise ItemError(
                        "too_large", f"{row.uri} has {info.st_size:,} bytes; the limit is {MAX_SOURCE_BYTES:,}"
                    )
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read()
            finally:
                os.close(descriptor)  # here, since fdopen refuses a folder and would leave it open
        except (FileNotFoundError, NotADirectoryError):
            raise ItemError("not_found", f"there is no file {row.uri}") from None
        except ValueError as error:  # a NUL byte in the path
            raise ItemError("not_found", f"no file can have this name: {error}") from None
        except PermissionError:
            raise ItemError("forbidden", f"no permission to read {row.uri}") from None
        except OSError as error:
            kind = "not_found" if error.errno in _NEVER else "fetch_failed"
            raise ItemError(kind, f"cannot read {row.uri[:300]}: {reason(error)}") from None


def reason(error: OSError) -> str:
    """The error in words, without paths or numbers that change from run to run."""
    return error.strerror or type(error).__name__


def write_error(error: OSError, path: Path) -> LedgerError:
    """What a failed write under the output means for the person who runs it."""
    if error.errno in _FULL:
        return DiskFullError(
            f"The disk is full, or a size limit is reached ({reason(error)}): {path} could not be written. "
            "Every answer acknowledged so far is kept. Free some space and run the same command again."
        )
    return LedgerError(f"Cannot write {path}: {reason(error)}.")


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Raises LedgerError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from None


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk: a new name survives a power cut only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(scratch: Path, final: Path) -> bool:
    """Give the finished file `scratch` the name `final` and remove the scratch name; False when the name is taken.

    The bytes reach the disk before the name does. Both paths lie on one file system. Raises LedgerError.
    """
    try:
        descriptor = os.open(scratch, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(scratch, final)
        except FileExistsError:
            scratch.unlink()
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: the output's lock keeps other writers out, so looking first is safe.
            if final.exists():
                scratch.unlink()
                return False
            scratch.rename(final)
        else:
            scratch.unlink()
        sync_folder(final.parent)
    except OSError as error:
        raise write_error(error, final) from None
    return True


def create(final: Path, content: bytes, scratch_folder: Path) -> bool:
    """Create a file with this content, whole or not at all; False when the name is taken. Raises LedgerError."""
    scratch = _write_scratch(final, content, scratch_folder)
    return publish(scratch, final)


def replace(final: Path, content: bytes, scratch_folder: Path) -> None:
    """Replace a derived file whole; readers see the old or the new one. Raises LedgerError."""
    scratch = _write_scratch(final, content, scratch_folder)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch.replace(final)
        sync_folder(final.parent)
    except OSError as error:
        raise write_error(error, final) from None


def _write_scratch(final: Path, content: bytes, scratch_folder: Path) -> Path:
    make_folder(scratch_folder)
    scratch = scratch_folder / f"{final.name}.{os.getpid()}"
    try:
        scratch.write_bytes(content)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell; the next start clears the folder
            scratch.unlink()
        raise write_error(error, final) from None
    return scratch
