"""Which question was answered where: the index behind "equal questions are asked once".

A cache over committed files in SQLite, never the truth: whatever it names is read back from a part or a snapshot and
compared before it is used, and an index that is missing or damaged is built again from the files. A list in memory
would take 134 MB a million questions; this takes a lookup of some microseconds.

It also remembers the name of every part that it covers. The product deletes no part, so that a name without its file
tells of a part that somebody else deleted.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.core.types import RowId
from pipeline.storage.local import make_folder

_TABLES = """
CREATE TABLE IF NOT EXISTS parts (task TEXT, name TEXT, PRIMARY KEY (task, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (task TEXT, name TEXT, PRIMARY KEY (task, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    task TEXT, digest BLOB, shard INTEGER, ordinal INTEGER, PRIMARY KEY (task, digest)
) WITHOUT ROWID;
"""
DIGEST_BYTES = 16
"""Of a request's SHA-256: enough, for the whole hash is compared when the row is read."""
Entry = tuple[str, int, int]
"""A question (`request_sha256`) and its row's shard and ordinal."""
Digested = tuple[bytes, int, int]
"""The same, with the question digested."""
_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC"}
"""What SQLite says where a disk is full, or a file may not grow."""
log = structlog.get_logger()


class DamagedIndexError(LedgerError):
    """The file is no index any more."""


class QuestionIndex:
    """The file `path`. May be used from several threads, one at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open it, or begin anew when it is damaged. Raises LedgerError."""
        make_folder(path.parent)
        self.path = path
        self._guard = threading.Lock()
        try:
            self._connection = self._look_into() if read_only else self._open()
        except sqlite3.DatabaseError as error:
            failure = self._failure(error)
            if read_only or not isinstance(failure, DamagedIndexError):
                raise failure from None
            self._begin_anew(error)

    def begin_anew(self, failure: DamagedIndexError) -> None:
        """Throw it away: what it knew is read from the committed files again. Raises LedgerError."""
        self._connection.close()
        self._begin_anew(failure)

    def _begin_anew(self, because: Exception) -> None:
        log.warning("index.rebuilt", because=str(because), index=str(self.path))
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from None

    def _look_into(self) -> sqlite3.Connection:
        # Nobody else writes, the output's lock is held; without a log nothing has to be written to read it.
        log_there = self.path.with_name(f"{self.path.name}-wal").exists()
        address = f"file:{quote(str(self.path))}?mode=ro{'' if log_there else '&immutable=1'}"
        return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            # Write-ahead with normal syncs: a power cut may take the last additions back, which are then made again.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -16384")
            connection.executescript(_TABLES)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def parts(self, task: str) -> set[str]:
        """The names of the data parts that it covers. Raises LedgerError."""
        return {row[0] for row in self._rows("SELECT name FROM parts WHERE task = ?", task)}

    def snapshots(self, task: str) -> set[str]:
        """The names of the failure snapshots that it covers. Raises LedgerError."""
        return {row[0] for row in self._rows("SELECT name FROM snapshots WHERE task = ?", task)}

    def find(self, task: str, request_sha256: str) -> RowId | None:
        """Where this question may have been answered, or have failed for good. Raises LedgerError."""
        question = "SELECT shard, ordinal FROM questions WHERE task = ? AND digest = ?"
        found = self._rows(question, task, digested(request_sha256))
        return RowId(task, *found[0]) if found else None

    def add_part(self, task: str, name: str, entries: Iterable[Entry]) -> None:
        """Cover a committed data part. Raises LedgerError."""
        questions = "INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?)"
        self._add(questions, "INSERT OR REPLACE INTO parts VALUES (?, ?)", task, name, entries)

    def add_parts(self, task: str, names: Iterable[str], sorted_entries: Iterable[Sequence[Digested]]) -> None:
        """Cover many committed parts at once; their entries come in batches, sorted by digest over all.

        In that order every page of the file is written about once: ten million in random order take half an hour.
        Raises LedgerError.
        """
        for batch in sorted_entries:
            self._write([("INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?)", [(task, *row) for row in batch])])
        self._write([("INSERT OR REPLACE INTO parts VALUES (?, ?)", [(task, name) for name in names])])

    def add_snapshot(self, task: str, name: str, entries: Iterable[Entry]) -> None:
        """Cover a failure snapshot; what is known of the same question stands. Raises LedgerError."""
        questions = "INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?)"
        self._add(questions, "INSERT OR REPLACE INTO snapshots VALUES (?, ?)", task, name, entries)

    def add_failures(self, task: str, name: str, entries: Iterable[Entry]) -> None:
        """Cover a snapshot just written: its questions were asked, so nothing better was known. Raises LedgerError."""
        questions = "INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?)"
        self._add(questions, "INSERT OR REPLACE INTO snapshots VALUES (?, ?)", task, name, entries)

    def forget_snapshots(self, task: str, names: Iterable[str]) -> None:
        """These were superseded. Raises LedgerError."""
        self._write([("DELETE FROM snapshots WHERE task = ? AND name = ?", [(task, name) for name in names])])

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._connection.close()

    def _add(self, questions: str, cover: str, task: str, name: str, entries: Iterable[Entry]) -> None:
        rows = [(task, digested(question), shard, ordinal) for question, shard, ordinal in entries]
        self._write([(questions, rows), (cover, [(task, name)])])

    def _write(self, statements: Iterable[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        """All in one transaction."""
        with self._guard:
            try:
                self._connection.execute("BEGIN")
                for statement, rows in statements:
                    self._connection.executemany(statement, rows)
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):  # the first error is the one to tell
                    self._connection.execute("ROLLBACK")
                raise self._failure(error) from None

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guard:
            try:
                return self._connection.execute(question, values).fetchall()
            except sqlite3.Error as error:
                raise self._failure(error) from None

    def _failure(self, error: sqlite3.Error) -> LedgerError:
        name = getattr(error, "sqlite_errorname", "")  # errors of the module itself have none
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return DamagedIndexError(
                f"The index of questions {self.path} is damaged: {error}. Delete it and run the same command again; it "
                "is built anew from the answers."
            )
        if name in _NO_ROOM:
            return DiskFullError(
                f"The disk is full, or a size limit is reached ({error}): {self.path} could not be written. Every "
                "answer acknowledged so far is kept. Free some space and run the same command again."
            )
        return LedgerError(
            f"Cannot use the index of questions {self.path}: {error}. Delete it and run the same command again; it is "
            "built anew from the answers."
        )


def digested(request_sha256: str) -> bytes:
    """A question as the index keeps it."""
    return bytes.fromhex(request_sha256[: 2 * DIGEST_BYTES])
