"""How an output stands, seen from outside, whether a run works on it or not. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.compose import OpenTask, open_reader, open_schemas
from pipeline.config import Config
from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Frame
from pipeline.engine.settle import Settler
from pipeline.ledger.book import Book
from pipeline.ledger.frames import Replay, replay
from pipeline.ledger.journal import segment_files
from pipeline.ledger.output import Output
from pipeline.ledger.recovery import Restoration
from pipeline.manifests.plan import Plan


def look_at(config: Config, output: Output, tasks: Mapping[str, OpenTask], plan: Plan) -> tuple[Book, int]:
    """The book of an output, what is in the journal included, and how many outcomes stand in the journal alone.

    Raises LedgerError: it cannot be read, or a run replaced a file under the eyes of the reader.
    """
    book = Book(output, open_schemas(tasks, plan.kept or []))
    book.take_moves(plan.moved)
    settler = Settler(tasks, open_reader(config), config.retry.repairs, config.retry.lifetime_attempts)
    return book, Restoration(book, settler).run(_frames(output.journal)).restored


def _frames(journal: Path) -> Iterator[tuple[Path, Frame | Replay]]:
    for path in segment_files(journal):
        try:
            for item in replay(path):
                yield path, item
        except FileNotFoundError:  # settled and deleted by the run since it was listed
            continue
        except OSError as error:
            raise LedgerError(f"Cannot read the journal {path}: {error.strerror}.") from None
