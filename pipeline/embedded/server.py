"""Serves the embedded models on the loopback interface, in the wire format of OpenAI's chat completions.

Everything heavy is imported after the port is bound, so that a taken port is told at once and a missing package in one
line. The process has no state: it may be ended at any moment.
"""

import json
import os
import signal
import sys
import threading
import traceback
import warnings
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.embedded.answers import Models

HOST = "127.0.0.1"
LONGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request body; OpenAI's own limit for image payloads is of this size (50 MB a request)."""
LONGEST_DRAIN = 4 * LONGEST_BODY
"""Bytes of a refused body that are read and dropped, so that its sender gets to the answer."""
MISSING = "the embedded models need more packages ({}): pip install 'vlm-batch[embedded]'"


def serve(port: int, until_stdin_closes: bool) -> None:
    """Answers on 127.0.0.1:`port` (0: any free one) until SIGINT or SIGTERM.

    Prints `{"base_url": ...}` on one line of stdout once it is ready. With `until_stdin_closes` the process also ends
    when its stdin does, so that it never outlives its parent, and ignores SIGINT: a Ctrl-C reaches the whole
    foreground group, and the parent may still want the answers of calls in flight.

    Raises SystemExit with a message (one line on stderr, exit code 1) if the port is taken or a package is missing.
    """
    if until_stdin_closes:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        server = _Server((HOST, port), _Connection)
    except (OSError, OverflowError) as error:
        raise SystemExit(f"cannot listen on {HOST}:{port}: {error}") from None
    with server:
        server.models = _load()
        for number in (signal.SIGTERM,) if until_stdin_closes else (signal.SIGINT, signal.SIGTERM):
            # shutdown() waits for serve_forever() to end, which runs in the thread that the signal interrupts.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        sys.stdout.write(json.dumps({"base_url": f"http://{HOST}:{server.server_address[1]}/v1"}) + "\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.1)
        server.models.close()


def _load() -> "Models":
    try:
        from PIL import Image

        from pipeline.embedded.answers import Models
    except ImportError as error:
        raise SystemExit(MISSING.format(error)) from None
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        return Models()
    except ImportError as error:
        raise SystemExit(MISSING.format(error)) from None


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 65536):
        pass
    os._exit(0)  # nothing here needs closing, and threads inside a model would hold up an orderly end


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    models: "Models"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called for what a connection's thread raised: a caller that hung up is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One keep-alive connection."""

    protocol_version = "HTTP/1.1"
    server_version = "vlm-batch-embedded"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        """The base class looks for `do_<METHOD>`; every method comes here, so that a wrong one is told as JSON."""
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        """Says nothing: the caller keeps the journal."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Called by the base class for requests that are not HTTP; its own answer would be HTML."""
        self.close_connection = True
        if not hasattr(self, "request_version"):
            self.request_version = self.protocol_version
        text = message or explain or HTTPStatus(code).phrase
        self._send(code, _error(code, text))

    def _respond(self) -> None:
        from pipeline.embedded.answers import RequestError

        try:
            status, body = 200, self._route()
        except RequestError as error:
            status, body = error.status, _error(error.status, error.message, error.param, error.code)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  (one bad request must not end the server; it is told, not hidden)
            traceback.print_exc()
            status, body = 500, _error(500, f"{type(error).__name__}: {error}")
        self._send(status, body)

    def _route(self) -> dict[str, Any]:
        from pipeline.embedded.answers import SERVED, RequestError

        raw = self._body()
        method, path = self.command, self.path.partition("?")[0].rstrip("/")
        allowed = {"/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST"}.get(path)
        if allowed is None:
            raise RequestError(404, f"there is nothing at {path}", code="unknown_url")
        if method != allowed:
            raise RequestError(405, f"{path} answers {allowed}, not {method}", code="method_not_allowed")
        if path == "/health":
            return {"status": "ok"}
        if path == "/v1/models":
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": "vlm-batch"} for name in SERVED]
            return {"object": "list", "data": entries}
        try:
            request = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise RequestError(400, f"the body is not valid JSON: {error}") from error
        return self.server.models.answer(request)

    def _body(self) -> bytes:
        from pipeline.embedded.answers import RequestError

        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestError(411, "a body needs a Content-Length here")
        declared = self.headers.get("Content-Length", "0").strip()
        if not (declared.isascii() and declared.isdigit()):
            self.close_connection = True
            raise RequestError(400, f"the Content-Length is no number of bytes: {declared[:40]!r}")
        length = int(declared[:20])
        if length > LONGEST_BODY:
            self.close_connection = True
            self._drain(min(length, LONGEST_DRAIN))
            raise RequestError(413, f"the body has {length} bytes, more than {LONGEST_BODY}")
        raw = self.rfile.read(length)
        if len(raw) < length:
            raise ConnectionAbortedError("the caller hung up in the middle of a request")
        return raw

    def _drain(self, count: int) -> None:
        """Reads and drops `count` bytes, or fewer if the caller pauses for two seconds or ends."""
        self.connection.settimeout(2.0)
        try:
            while count > 0 and (chunk := self.rfile.read1(min(count, 1 << 20))):
                count -= len(chunk)
        except TimeoutError:
            pass
        finally:
            self.connection.settimeout(None)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status == 405:
            self.send_header("Allow", "POST" if "completions" in self.path else "GET")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)
        self.wfile.flush()


def _error(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
