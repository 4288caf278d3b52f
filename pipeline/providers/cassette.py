"""Cassettes: a server's answers as small text files fit for git, one a request, to be answered from later.

A file is named by the first 16 digits of its request's hash. What changes from answer to answer without being part of
it (ids, times) is left out, so that the same answer recorded again is the same file:

    {"reply": {"body": ..., "form": "json", "headers": {...}, "status": 200},
     "request": {"sha256", "model", "texts", "pictures", "sampling"}, "version": 1, "versions": {"pillow": ...}}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import Field, ValidationError, model_validator

from pipeline.core.errors import ConfigError
from pipeline.core.types import Reply
from pipeline.providers.asked import Asked, Kept
from pipeline.providers.stream import folded, is_stream
from pipeline.providers.wire import parsed

VERSION: Final = 1
RECORD: Final = "record it again with vlm-batch regress CONFIG --record"

_NAME = re.compile(r"[0-9a-f]{16}\.json")
_PASSING: Final = frozenset({"created", "system_fingerprint", "id_slot", "generation_settings", "prompt"})
"""Members of an answer that tell when and where it was made, or repeat the question."""
_COUNTS: Final = {"timings": ("cache_n",), "perf_metrics": ("prompt-tokens", "cached-prompt-tokens")}
"""Of these members, which are about times, only the tokens that `usage` reads are kept."""


class Recorded(Kept):
    """A reply of status 2xx. `form` says how `body` was sent: as JSON, as a stream, or as a text that is neither.

    Of a stream the body is its one event once all were put together.
    """

    status: Annotated[int, Field(ge=200, le=299)]
    headers: dict[str, str]
    form: Literal["json", "stream", "text"]
    body: Any

    @model_validator(mode="after")
    def _fits_its_form(self) -> Self:
        if self.form == "text" and not isinstance(self.body, str):
            raise ValueError("the body of form text must be a text")
        if self.form == "stream":
            choices = self.body.get("choices") if isinstance(self.body, dict) else None
            if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
                raise ValueError("the body of form stream must have choices")
        return self


class Cassette(Kept):
    """One file: what was asked, what came, and the `versions` of what made the request."""

    version: Literal[1] = VERSION
    request: Asked
    versions: dict[str, str]
    reply: Recorded


def name_of(sha256: str) -> str:
    """The file's name for a request's hash."""
    return f"{sha256[:16]}.json"


def written(cassette: Cassette) -> bytes:
    """The file's bytes; the same for equal cassettes. Raises TypeError for what UTF-8 cannot hold."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(cassette.model_dump(), option=options)


def read_folder(folder: Path) -> dict[str, Cassette]:
    """Every cassette of a folder by its request's hash. Raises ConfigError with everything that is wrong."""
    cassettes, problems = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            cassette = Cassette.model_validate_json(path.read_bytes())
            replayed(cassette.reply)
        except ValidationError as error:
            what = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(step) for step in what["loc"]) or "the file"
            problems.append(f"{path} is no cassette of this version: {where}: {what['msg']}; {RECORD}")
        except TypeError:  # a number of more than 64 bits
            problems.append(f"{path} is no cassette of this version: its body cannot be written as JSON; {RECORD}")
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror or type(error).__name__}; {RECORD}")
        else:
            if path.name != name_of(cassette.request.sha256):
                request = name_of(cassette.request.sha256)
                problems.append(f"{path} holds the answer to another request, which belongs in {request}; {RECORD}")
            cassettes[cassette.request.sha256] = cassette
    if not cassettes and not problems:
        problems.append(f"there are no cassettes in {folder}; make them with vlm-batch regress CONFIG --record")
    if problems:
        raise ConfigError(problems)
    return cassettes


def prune(folder: Path, used: Collection[str]) -> list[Path]:
    """Delete the cassettes of a folder that answer none of these requests, by hash; which they were, in order.

    For after a recording of everything: what it did not ask for, no replay will.
    """
    names = {name_of(sha256) for sha256 in used}
    unused = [path for path in sorted(folder.glob("*.json")) if _NAME.fullmatch(path.name) and path.name not in names]
    for path in unused:
        path.unlink()
    return unused


def recorded(reply: Reply, headers: Mapping[str, str], sha256: str) -> Recorded:
    """The reply as it is kept, with these headers alone. Raises ValueError when its body is neither JSON nor stream."""
    streamed = is_stream(reply.body)
    value = folded(reply.body) if streamed else parsed(reply.body)
    if isinstance(value, dict):
        value = {name: _counts(name, member) for name, member in value.items() if name not in _PASSING}
        if "id" in value:
            value["id"] = f"cassette-{sha256[:16]}"
    form: Literal["json", "stream"] = "stream" if streamed else "json"
    return Recorded(status=reply.status, headers=dict(headers), form=form, body=value)


def as_text(reply: Reply, headers: Mapping[str, str]) -> Recorded:
    """The reply as it is kept when its form would change what it says."""
    text = reply.body.decode("utf-8", "replace")
    return Recorded(status=reply.status, headers=dict(headers), form="text", body=text)


def replayed(reply: Recorded) -> Reply:
    """The reply as it comes again."""
    if reply.form == "text":
        return Reply(reply.status, reply.headers, str(reply.body).encode())
    if reply.form == "json":
        return Reply(reply.status, reply.headers, orjson.dumps(reply.body))
    choices = [
        {"delta" if name == "message" else name: member for name, member in choice.items()}
        for choice in reply.body["choices"]
    ]
    event = orjson.dumps({**reply.body, "choices": choices})
    return Reply(reply.status, reply.headers, b"data: " + event + b"\n\ndata: [DONE]\n\n")


def _counts(name: str, member: Any) -> Any:
    if name not in _COUNTS or not isinstance(member, dict):
        return member
    return {count: member[count] for count in _COUNTS[name] if count in member}
