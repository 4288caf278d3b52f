"""Tells a row's bad luck from a server that is down, and a bad row from a wrong configuration."""

from __future__ import annotations

from pipeline.core.errors import CallError, ServerError
from pipeline.core.types import RowId

DOWN_AFTER = 5
"""When so many different rows have failed and none was answered in between, it is the server's fault, not theirs."""
REFUSED_AFTER = 10
"""So many rows refused with the same words before any was answered are a configuration."""
REFUSED_IN_A_ROW = 50
"""So many later on, with no answer in between: something has changed under the run."""
STARTING_PATIENCE_S = 3600.0
"""How long a server may take to get ready: a deployment that was scaled to zero loads its model for many minutes."""
_DOWN_STATUSES = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 529})


def every_row_refused(count: int, words: str) -> ServerError:
    """The end of a run in which no row was answered and `count` were refused in the same words."""
    return ServerError(
        f"The server refused {count} rows in the same words and has accepted none: {words}. This looks like the "
        "configuration, not the pictures; the run stops here and its rows stay to do."
    )


class Breaker:
    """Watches the attempts of all rows together.

    `patience_s`: how long an outage may last before the run gives up; `first_patience_s`: the same while the server has
    never answered, short because then the address is probably wrong. A server that has said in that time that it is
    getting ready is given STARTING_PATIENCE_S, if that is longer. `proven`: an earlier run got answers with this
    configuration.
    """

    def __init__(self, *, patience_s: float, first_patience_s: float = 15.0, proven: bool = False) -> None:
        self._patience_s = patience_s
        self._first_patience_s = first_patience_s
        self._proven = proven
        self.has_answered = False
        """Whether any row of this run was answered: until then a refusal may be the configuration's."""
        self._failing: set[RowId] = set()
        self._since: float | None = None
        """When the server last began not to answer, in whichever way."""
        self._starting = False
        """Whether it has said since then that it is getting ready."""
        self._refusal: str | None = None
        self._refusals = 0

    def answered(self) -> None:
        """The server answered a row: it is there, and it accepts what we send."""
        self.has_answered = True
        self._refusals = 0
        self._alive()

    def outage(self, row: RowId, error: CallError, now: float) -> bool:
        """Whether this failed attempt shows an outage, which costs the row no attempt.

        A server that starts may refuse connections in between: whatever it does instead of answering, one clock runs.
        `now` is in seconds of any steady clock. Raises ServerError when the outage has outlasted our patience.
        """
        if not (error.starting or error.kind in {"connection", "timeout"} or error.status in _DOWN_STATUSES):
            self._alive()  # it refuses this row or asks for patience: it is there
            return False
        if self._since is None:
            self._since = now
        if error.starting:
            self._starting = True
            self._failing.clear()
        else:
            self._failing.add(row)
            if error.reached and len(self._failing) < DOWN_AFTER:
                return False
        lasted_s = now - self._since
        if lasted_s >= self._patience_of(error):
            if error.starting:
                lasted, again = f"been getting ready for {lasted_s / 60:.0f} minutes", "ready"
            else:
                lasted, again = f"not answered for {lasted_s:.0f} seconds", "back"
            raise ServerError(
                f"The server has {lasted}: {error.message}. "
                f"Nothing is lost; when it is {again}, run the same command again."
            )
        return True

    def _patience_of(self, error: CallError) -> float:
        if self._starting:
            return max(STARTING_PATIENCE_S, self._patience_s)
        return self._patience_s if self.has_answered or error.reached else self._first_patience_s

    def _alive(self) -> None:
        self._failing.clear()
        self._since = None
        self._starting = False

    def suspects(self, error: CallError) -> bool:
        """Whether a refused row may be the configuration's fault.

        A filter judges what is in a picture, whatever the configuration. Once rows were answered, by any run, words
        about pictures and lengths are about the rows too: a folder of broken ones is not the configuration.
        """
        if error.meaning.error_class != "row" or error.kind == "content_filter":
            return False
        return error.kind == "bad_request" or not (self._proven or self.has_answered)

    def refused(self, error: CallError) -> None:
        """A row was refused for good. Raises ServerError when so many were in a row, with the same words."""
        if not self.suspects(error):
            return
        self._refusals = self._refusals + 1 if error.message == self._refusal else 1
        self._refusal = error.message
        if self.has_answered and self._refusals >= REFUSED_IN_A_ROW:
            raise ServerError(
                f"The server refused {self._refusals} rows in a row in the same words: {error.message}. This looks "
                "like the configuration, not the pictures; the run stops here. When it is mended, ask them again with "
                "vlm-batch rerun OUT --kind bad_request."
            )
        if not self.has_answered and self._refusals >= (REFUSED_IN_A_ROW if self._proven else REFUSED_AFTER):
            raise every_row_refused(self._refusals, error.message)
