"""What a fake server does, made of small scripts that are put together.

A script is any function from a `Request` to a `Reply`. These make one: the first half answers, the second half
wraps or chooses among other scripts. Scripts run in the server's thread, one request at a time.
"""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from tests.support.exchange import Cut, Reply, Request, Script, Usage, answer
from tests.support.schemas import obey

# ---- answers ----


def constant(reply: Reply) -> Script:
    """Always this reply."""

    def script(_: Request) -> Reply:
        return reply

    return script


def caption_of(image_base64_sha256: str) -> str:
    """The text that `caption` answers for a picture, given the hash of its base64 payload as sent."""
    return f"A picture known as {image_base64_sha256[:16] or 'nothing'}."


def caption(usage: Usage | None = None) -> Script:
    """The default: an answer that depends on the picture alone.

    A request with a JSON schema in `response_format` gets an object that obeys it, others `caption_of` the picture.
    """

    def script(request: Request) -> Reply:
        wanted = request.field("response_format") if request.has(b'"json_schema"') else None
        if not wanted:
            return answer(request, caption_of(request.image_base64_sha256), usage=usage)
        described = wanted["json_schema"]["schema"]
        return answer(request, json.dumps(obey(described, request.image_base64_sha256)), usage=usage)

    return script


def text(content: str, usage: Usage | None = None) -> Script:
    """Always the same content; the cheapest answer."""
    return lambda request: answer(request, content, usage=usage)


def json_answer(value: Any, usage: Usage | None = None) -> Script:
    """Always the same JSON value as content."""
    return text(json.dumps(value), usage)


def cut_by_length(content: str, usage: Usage | None = None) -> Script:
    """An answer that `max_tokens` cut: `finish_reason` length."""
    return lambda request: answer(request, content, finish_reason="length", usage=usage)


def refusal(content: str = "I can't help with that.") -> Script:
    """A refusal in its own member, with null content, as OpenAI gives it for structured output."""
    return lambda request: answer(request, None, message={"refusal": content})


def content_filter(content: str | None = "") -> Script:
    """`finish_reason` content_filter, with what had been said until then."""
    return lambda request: answer(request, content, finish_reason="content_filter")


# ---- errors and broken answers ----

Shape = Literal["openai", "object", "flat", "text", "numbered", "detail", "detail_list", "html", "empty"]


def error_body(shape: Shape, status: int, message: str, code: Any = None, kind: str = "error") -> bytes:
    """An error's body in one of the shapes met in the wild (OpenAI and vLLM, Fireworks, SGLang, Ollama, control
    planes with a number, FastAPI's detail as text and as list, a gateway's page, nothing).
    """
    if shape == "html":
        return f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>".encode()
    shapes: dict[Shape, Any] = {
        "openai": {"error": {"message": message, "type": kind, "param": None, "code": code}},
        "object": {"error": {"object": "error", "type": kind, "code": code, "message": message}},
        "flat": {"object": "error", "message": message, "type": kind, "code": status if code is None else code},
        "text": {"error": message},
        "numbered": {"code": status if code is None else code, "message": message, "details": []},
        "detail": {"detail": message},
        "detail_list": {"detail": [{"loc": ["body", "messages"], "msg": message, "type": kind}]},
    }
    return b"" if shape == "empty" else json.dumps(shapes[shape]).encode()


def error(
    status: int,
    message: str = "made to fail",
    *,
    code: Any = None,
    kind: str = "error",
    shape: Shape = "openai",
    headers: Mapping[str, str] | None = None,
) -> Script:
    """Always this status, with a body of this shape. A status of 200 is an error in a success's clothes."""
    typed = {"content-type": "text/html"} if shape == "html" else {}
    reply = Reply(status, error_body(shape, status, message, code, kind), tuple({**typed, **(headers or {})}.items()))
    return constant(reply)


def rate_limited(retry_after: float | None = 1, headers: Mapping[str, str] | None = None) -> Script:
    """Always 429, with Retry-After in seconds unless that is None."""
    told = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return error(429, "Rate limit reached", code="rate_limit_exceeded", headers={**told, **(headers or {})})


def garbage(body: bytes = b"\x00\xff<not json", status: int = 200) -> Script:
    """A body that is not what it says."""
    return constant(Reply(status, body))


def hang() -> Script:
    """Never an answer; the connection stays open."""
    return constant(Reply(hang=True))


def drop(cut: Cut = "unanswered", then: Script | None = None, *, reset: bool = False) -> Script:
    """Cut the connection: unanswered, in the middle of the answer's body, or after a whole answer.

    After a whole answer, a client that reuses the connection at once may or may not notice first: that race is real.
    """
    answered = then or caption()
    return lambda request: replace(answered(request), cut=cut, reset=reset)


def truncated(then: Script | None = None, missing: int = 10) -> Script:
    """Promise `missing` bytes more than are sent, then end the connection."""
    answered = then or caption()

    def script(request: Request) -> Reply:
        reply = answered(request)
        return replace(reply, body=reply.body[:-missing], missing=missing)

    return script


# ---- time ----


def delayed(then: Script, seconds: float) -> Script:
    """The same, later by so many seconds."""

    def script(request: Request) -> Reply:
        reply = then(request)
        return replace(reply, delay=reply.delay + seconds)

    return script


def lognormal(then: Script, median: float, sigma: float = 0.5, seed: int = 0) -> Script:
    """The same, later by a log-normal time of this median in seconds, as real servers are."""
    chance = random.Random(seed)

    def script(request: Request) -> Reply:
        reply = then(request)
        return replace(reply, delay=reply.delay + chance.lognormvariate(math.log(median), sigma))

    return script


def drip(then: Script, size: int = 16, seconds: float = 0.01) -> Script:
    """The body in pieces of `size` bytes, `seconds` apart; the header at once."""
    return lambda request: replace(then(request), drip=(size, seconds))


# ---- choice ----


def fail_first(
    n: int, failure: Script, then: Script | None = None, *, each: Literal["server", "body"] = "server"
) -> Script:
    """Fail the first `n` requests, of the server or of each distinct body, then succeed."""
    seen: Counter[str] = Counter()
    succeed = then or caption()

    def script(request: Request) -> Reply:
        key = request.body_sha256 if each == "body" else ""
        seen[key] += 1
        return (failure if seen[key] <= n else succeed)(request)

    return script


def sequence(*scripts: Script) -> Script:
    """One script a request, in order; the last one stays."""
    waiting = list(scripts)

    def script(request: Request) -> Reply:
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    return script


def by_picture(scripts: Mapping[str, Script], otherwise: Script | None = None) -> Script:
    """Choose by the first picture: keys are hashes of its own bytes or of its base64 payload."""
    other = otherwise or caption()

    def script(request: Request) -> Reply:
        chosen = scripts.get(request.image_base64_sha256) or scripts.get(request.image_sha256) or other
        return chosen(request)

    return script


def by_model(scripts: Mapping[str, Script], otherwise: Script | None = None) -> Script:
    """Choose by the `model` asked for; that is how two tasks of one run are told apart."""
    other = otherwise or caption()
    return lambda request: scripts.get(request.model, other)(request)


def by_marker(scripts: Mapping[str, Script], otherwise: Script | None = None) -> Script:
    """Choose by the first of these texts that the body holds."""
    other = otherwise or caption()
    return lambda request: next((then for marker, then in scripts.items() if request.has(marker)), other)(request)


def sometimes(share: float, odd: Script, otherwise: Script | None = None, *, seed: int = 0) -> Script:
    """An odd script for this share of the requests, drawn in order of arrival: a retry may have better luck."""
    chance = random.Random(seed)
    usual = otherwise or caption()

    def script(request: Request) -> Reply:
        return (odd if chance.random() < share else usual)(request)

    return script


def for_some_bodies(share: float, odd: Script, otherwise: Script | None = None, *, seed: int = 0) -> Script:
    """An odd script for this share of the distinct bodies, whatever their order: a retry fares the same."""
    usual = otherwise or caption()

    def script(request: Request) -> Reply:
        return (odd if random.Random(f"{seed} {request.body_sha256}").random() < share else usual)(request)

    return script


def needs_key(key: str, then: Script | None = None) -> Script:
    """401 unless the request carries this bearer token."""
    allowed, refused = then or caption(), error(401, "Incorrect API key provided", code="invalid_api_key")
    return lambda request: (allowed if request.headers.get("authorization") == f"Bearer {key}" else refused)(request)


def quota(
    requests_per_minute: float,
    then: Script | None = None,
    *,
    burst: float = 1,
    clock: Callable[[], float] | None = None,
) -> Script:
    """A token bucket that fills evenly: over it 429, with Retry-After in seconds (to the millisecond) till the next
    token and `x-ratelimit-*-requests`. The clock is the arrival of requests, so it works in virtual time too.
    """
    allowed = then or caption()
    per_second = requests_per_minute / 60
    level, filled_at = burst, -math.inf

    def script(request: Request) -> Reply:
        nonlocal level, filled_at
        now = clock() if clock else request.received_at
        level, filled_at = min(burst, level + (now - filled_at) * per_second), now
        told = {"x-ratelimit-limit-requests": f"{requests_per_minute:g}"}
        if level < 1 - 1e-9:
            wait = math.ceil((1 - level) / per_second * 1000) / 1000
            return rate_limited(wait, {**told, "x-ratelimit-remaining-requests": "0"})(request)
        level -= 1
        reply = allowed(request)
        return replace(
            reply, headers=[*reply.headers, *told.items(), ("x-ratelimit-remaining-requests", f"{int(level)}")]
        )

    return script


def retry_after_date(seconds: float) -> str:
    """A Retry-After in the form of a date, so many real seconds from now."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))
