"""Every success and failure that the protocol sheet names, one line a case: what it is to be read as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.core.errors import CallError, ItemError, ServerError
from pipeline.core.types import Completion, Reply, Usage
from pipeline.providers.dialects import DIALECTS
from pipeline.tasks.answers import checked
from tests.providers.examples import provider

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
GRPC = {"code": 5, "message": "model not found, inaccessible, or not deployed", "details": []}


def err(message: str, code: Any = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def fw(message: str, code: str = "invalid_request_error") -> Any:
    return {"error": {"object": "error", "type": code, "code": code, "message": message}}


def sg(message: str, code: int = 400, kind: str = "BadRequest") -> Any:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def lc(code: int, kind: str, message: str) -> Any:
    return {"error": {"code": code, "message": message, "type": kind}}


def lite(name: str, status: str, message: str = "upstream said no") -> Any:
    return err(f"litellm.{name}: {message}", status, "None")


def events(*values: Any, done: bool = True) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n" * done


def delta(text: str | None = None, reason: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": reason}]}


def said(text: Any = "A cup.", reason: str | None = "stop", usage: Any = None, **message: Any) -> Any:
    return {"choices": [{"message": {"content": text, **message}, "finish_reason": reason}], "usage": usage}


def plain(text: str, reason: str | None = None) -> Any:
    return {"choices": [{"text": text, "finish_reason": reason}]}


def native(**changes: Any) -> Any:
    counts = {"tokens_evaluated": 30, "tokens_predicted": 8, "tokens_cached": 37, "timings": {"cache_n": 29}}
    return {"content": "A cup.", "stop_type": "eos", "truncated": False, **counts, **changes}


# dialect, status, body, what it means: a kind of CallError, STOP with a piece of the advice, WAIT for a starting server
STOP, WAIT = "stop: ", "starting"
FAILURES: list[tuple[str, int, Any, str]] = [
    ("fireworks", 400, fw("messages.0.content.1.uuid: Extra inputs are not permitted"), STOP + "provider.dialect"),
    ("fireworks", 400, fw("Requests with max_tokens > 4096 must have stream=true"), STOP + "max_tokens"),
    ("fireworks", 400, fw("JSON Schema not supported: could not understand the instance"), STOP + "schema"),
    ("fireworks", 400, fw("len(combined_imgs) = 1 while len(image_ranges) = 0"), STOP + "takes no pictures"),
    ("fireworks", 400, fw("could not process image 0"), "image_rejected"),
    ("fireworks", 400, fw("failed to download image: redirected with 302"), "image_rejected"),
    ("fireworks", 400, fw("The prompt is too long: 9, model maximum context length: 8"), "context_too_long"),
    ("fireworks", 401, fw("no key", "unauthorized"), STOP + "API key"),
    ("fireworks", 402, fw("payment required"), STOP + "Add credit"),
    ("fireworks", 403, err("no", "UNAUTHORIZED", "error"), STOP + "permissions"),
    ("fireworks", 404, GRPC, STOP + "provider.model"),
    ("fireworks", 405, GRPC, STOP + "provider.model"),
    ("fireworks", 408, b"", "timeout"),
    ("fireworks", 412, fw("account suspended"), STOP + "suspended"),
    ("fireworks", 413, HTML, "bad_request"),
    ("fireworks", 425, fw("weights are being swapped"), "http_5xx"),
    ("fireworks", 429, {"error": "Too Many Requests", "message": "slow down"}, "http_429"),
    ("fireworks", 429, fw("no first token before the deadline, the limit of your account"), "http_429"),
    ("fireworks", 429, fw("monthly spend limit reached"), STOP + "Add credit"),
    ("fireworks", 500, fw("internal"), "http_5xx"),
    ("fireworks", 502, HTML, "http_5xx"),
    ("fireworks", 503, fw("capacity was shed"), "http_5xx"),
    ("fireworks", 503, err("Try again later", "DEPLOYMENT_SCALING_UP", "error"), WAIT),
    ("fireworks", 504, b"", "http_5xx"),
    ("fireworks", 520, b"error code: 520", "http_5xx"),
    ("openai", 400, err("too long", "context_length_exceeded"), "context_too_long"),
    ("openai", 400, err("use png, jpeg, gif, webp", "invalid_image_format"), "image_rejected"),
    ("openai", 400, err("Invalid image data.", "invalid_value"), "image_rejected"),
    ("openai", 400, err("bad url", "invalid_image_url"), "image_rejected"),
    ("openai", 400, err("no", "sanitizer_server_error"), "image_rejected"),
    ("openai", 400, err("Error while downloading file.", "invalid_image_url"), "image_rejected"),
    ("openai", 400, err("rejected by policy", "content_policy_violation"), "content_filter"),
    ("openai", 400, err("Unknown parameter: 'foo'.", "unknown_parameter"), "bad_request"),
    ("openai", 400, err("Invalid schema for response_format 'x'", "invalid_json_schema"), STOP + "schema"),
    ("openai", 401, err("Incorrect API key provided", "invalid_api_key"), STOP + "API key"),
    ("openai", 403, err("Country not supported", "unsupported_country_region_territory"), STOP + "permissions"),
    ("openai", 404, err("no such model", "model_not_found"), STOP + "provider.model"),
    ("openai", 429, err("Rate limit reached for requests", "rate_limit_exceeded", "requests"), "http_429"),
    ("openai", 429, err("Rate limit reached for tokens", "rate_limit_exceeded", "tokens"), "http_429"),
    ("openai", 429, err("Request too large for gpt-x", "rate_limit_exceeded", "tokens"), "context_too_long"),
    ("openai", 429, err("You exceeded your quota", "insufficient_quota", "insufficient_quota"), STOP + "Add credit"),
    ("openai", 500, err("The server had an error", None, "server_error"), "http_5xx"),
    ("openai", 503, err("overloaded", "server_is_overloaded"), "http_5xx"),
    ("openai", 529, b"", "http_5xx"),
    ("vllm", 400, err("cannot identify image file", 400, "BadRequestError"), "image_rejected"),
    ("vllm", 400, err("At most 2 image(s) may be provided in one prompt.", 400, "BadRequestError"), "image_rejected"),
    ("vllm", 400, err("This model's maximum context length is 10 tokens.", 400, "BadRequestError"), "context_too_long"),
    ("vllm", 400, err("tiny is not a multimodal model", 400, "BadRequestError"), STOP + "takes no pictures"),
    ("vllm", 401, {"error": "Unauthorized"}, STOP + "API key"),
    ("vllm", 404, err("The model `x` does not exist.", 404, "NotFoundError"), STOP + "provider.model"),
    ("vllm", 422, err("404 from the image url", 422, "UnprocessableEntityError"), "image_rejected"),
    ("vllm", 500, err("Cannot connect to host gone:443", 500, "InternalServerError"), "http_5xx of address"),
    ("vllm", 500, err("Connection timeout to host http://slow", 500, "InternalServerError"), "http_5xx of address"),
    ("vllm", 500, err("CUDA error", 500, "InternalServerError"), "http_5xx"),
    ("vllm", 501, err("Only base64 data URLs are supported", 501, "NotImplementedError"), "image_rejected"),
    ("vllm", 503, err("The queue is full", 503, "QueueOverflowError"), "http_5xx"),
    ("vllm", 503, err("The engine is starting up", 503, "ServiceUnavailableError"), WAIT),
    ("sglang", 400, sg("Error while loading data iVBO: Could not decode image: broken"), "image_rejected"),
    ("sglang", 400, sg("Error while loading data http://h/a: Read timed out."), "http_5xx of address"),
    ("sglang", 400, sg("Error while loading data http://h/a: 503 Server Error: busy"), "http_5xx of address"),
    ("sglang", 400, sg("Error while loading data http://h/a: 404 Client Error: gone"), "image_rejected"),
    ("sglang", 400, sg("Image count 3 exceeds limit 2 per request."), "image_rejected"),
    ("sglang", 400, sg("The input is longer than the model's context length"), "context_too_long"),
    ("sglang", 500, sg("Internal server error: x", 500, "InternalServerError"), "http_5xx"),
    ("sglang", 503, sg("The request queue is full.", 503, "Unavailable"), "http_5xx"),
    ("llamacpp", 400, lc(400, "invalid_request_error", "Failed to load image or audio file"), "image_rejected"),
    ("llamacpp", 400, lc(400, "exceed_context_size_error", "request exceeds it"), "context_too_long"),
    ("llamacpp", 401, lc(401, "authentication_error", "Invalid API Key"), STOP + "API key"),
    ("llamacpp", 403, lc(403, "permission_error", "no"), STOP + "permissions"),
    ("llamacpp", 404, lc(404, "not_found_error", "File Not Found"), STOP + "provider.model"),
    ("llamacpp", 500, lc(500, "server_error", "image input is not supported - hint"), STOP + "takes no pictures"),
    ("llamacpp", 500, lc(500, "server_error", "Failed to load image or audio file"), "image_rejected"),
    ("llamacpp", 500, lc(500, "server_error", "Failed to download image"), "http_5xx of address"),
    ("llamacpp", 501, lc(501, "not_supported_error", "This server does not support it"), "bad_request"),
    ("llamacpp", 503, lc(503, "unavailable_error", "Loading model"), WAIT),
    ("ollama", 400, err("image URLs are not currently supported, please use base64"), "image_rejected"),
    ("ollama", 400, err("invalid image input"), "image_rejected"),
    ("ollama", 404, err("model 'x' not found", None, "api_error"), STOP + "provider.model"),
    ("ollama", 500, {"error": "llama runner process has terminated"}, "http_5xx"),
    ("ollama", 503, err("server busy, please try again. maximum pending requests exceeded"), "http_5xx"),
    ("litellm", 400, lite("ContextWindowExceededError", "400"), "context_too_long"),
    ("litellm", 400, lite("ContentPolicyViolationError", "400"), "content_filter"),
    ("litellm", 400, lite("ImageFetchError", "400"), "image_rejected"),
    ("litellm", 400, lite("UnsupportedParamsError", "400", "fw does not support: ['seed']"), STOP + "provider.dialect"),
    ("litellm", 400, lite("BudgetExceededError", "400", "Budget has been exceeded!"), STOP + "Add credit"),
    ("litellm", 500, lite("AuthenticationError", "500"), STOP + "API key"),
    ("litellm", 500, lite("PermissionDeniedError", "500"), STOP + "permissions"),
    ("litellm", 500, lite("NotFoundError", "500"), STOP + "provider.model"),
    ("litellm", 500, lite("RateLimitError", "500"), "http_429"),
    ("litellm", 500, lite("Timeout", "500"), "timeout"),
    ("litellm", 400, lite("ServiceUnavailableError", "400"), "http_5xx"),
    ("litellm", 400, lite("InternalServerError", "400"), "http_5xx"),
    ("litellm", 400, lite("APIConnectionError", "400"), "http_5xx"),
    ("litellm", 429, lite("RateLimitError", "429"), "http_429"),
    ("litellm", 400, err("said by a server: see litellm.RateLimitError: x"), "bad_request"),
    ("generic", 400, {"detail": "the image is broken"}, "image_rejected"),
    ("generic", 422, {"detail": [{"msg": "Extra inputs are not permitted"}]}, STOP + "provider.dialect"),
    ("generic", 400, [{"error": {"message": "teapot"}}], "bad_request"),
    ("generic", 504, HTML, "http_5xx"),
    # an error under status 200
    ("openai", 200, events(err("busy", "server_is_overloaded")), "http_5xx"),
    ("openai", 200, events(delta("A "), err("slow down", "rate_limit_exceeded")), "http_429"),
    ("openai", 200, b'event: error\ndata: {"message": "The server had an error"}\n\n', "http_5xx"),
    ("openai", 200, b'event: error\r\ndata: {"message": "The server had an error"}\r\n\r\n', "http_5xx"),
    ("openai", 200, events({"type": "error", "code": "context_length_exceeded"}), "context_too_long"),
    ("vllm", 200, events(delta("A "), err("image is broken", 400, "BadRequestError")), "image_rejected"),
    ("vllm", 200, events(delta("A "), err("prompt", 400, "BadRequestError")), "http_5xx"),
    ("vllm", 200, events(delta("A", "abort")), "http_5xx"),
    ("vllm", 200, events(delta("A", "error")), "http_5xx"),
    ("litellm", 200, events(lite("RateLimitError", "429")), "http_429"),
    ("litellm", 200, events(lite("ContentPolicyViolationError", "400")), "content_filter"),
    ("sglang", 200, sg("Internal server error", 500), "http_5xx"),
    ("fireworks", 200, events(delta("A "), done=False), "connection"),
    ("fireworks", 200, events(delta("A ")), "connection"),
    ("fireworks", 200, events(delta("A "), delta(" cup"), done=False)[:-9], "connection"),
    ("fireworks", 200, b": keep-alive\n\n", "connection"),
    ("fireworks", 200, said(reason="error"), "http_5xx"),
    ("generic", 200, HTML, "http_5xx"),
    ("generic", 200, b"", "http_5xx"),
]

U = Usage
NINE = U(9, None, None, 4)
PLAIN = {"prompt_tokens": 9, "completion_tokens": 4}


def counted(*, answer: Any = None, **prompt: Any) -> Any:
    return {**PLAIN, "prompt_tokens_details": prompt, "completion_tokens_details": answer}


FW_NOTES = {"fireworks-prompt-tokens": "9", "fireworks-cached-prompt-tokens": "6"}
PERF = {"perf_metrics": {"prompt-tokens": "9", "cached-prompt-tokens": "6"}}
PROXIED = {"llm_provider-fireworks-cached-prompt-tokens": "6"}
FW_LAST = {**delta(None, "stop"), "usage": PLAIN, **PERF}
OTHER = {"choices": [{"index": 1, "delta": {"content": "Another"}, "finish_reason": "length"}]}
LAST = {"choices": [], "usage": PLAIN}

THOUGHT = "empty: all that the model wrote is reasoning"

# dialect, body, headers, text or kind of an answer that cannot be used, usage, the server's own price
SUCCESSES: list[tuple[str, Any, dict[str, str], str, Usage, float | None]] = [
    ("fireworks", said(usage=PLAIN), FW_NOTES, "A cup.", U(9, 6, None, 4), None),
    ("fireworks", said(usage=counted(cached_tokens=5)), FW_NOTES, "A cup.", U(9, 5, None, 4), None),
    ("fireworks", said(usage=PLAIN), {}, "A cup.", NINE, None),
    ("fireworks", said(usage=None), {**FW_NOTES, "fireworks-cached-prompt-tokens": "0"}, "A cup.", U(9, 0), None),
    ("fireworks", said(usage=PLAIN), {"fireworks-cached-prompt-tokens": "many"}, "A cup.", NINE, None),
    ("fireworks", events(delta("A "), delta("cup."), FW_LAST), {}, "A cup.", U(9, 6, None, 4), None),
    ("fireworks", {**plain("A cup.", "stop"), "usage": PLAIN}, {}, "A cup.", NINE, None),
    ("fireworks", events(plain("A "), plain("cup.", "stop")), {}, "A cup.", U(), None),
    ("fireworks", said("", "length", reasoning_content="Hmm"), {}, THOUGHT, U(), None),
    ("fireworks", said("", "length"), {}, "empty: its token limit was used up", U(), None),
    (
        "openai",
        said(usage=counted(cached_tokens=1, cache_write_tokens=8)),
        {},
        "A cup.",
        U(9, 1, None, 4, None, 8),
        None,
    ),
    ("openai", said(usage=counted(answer={"reasoning_tokens": 3})), {}, "A cup.", U(9, None, None, 4, 3), None),
    ("openai", said(None, "content_filter"), {}, "content_filter: ", U(), None),
    ("openai", said(None, refusal="I will not."), {}, "refusal: I will not.", U(), None),
    (
        "openai",
        events(delta(None, refusal="I "), delta(None, "stop", refusal="will not."), LAST),
        {},
        "refusal: I will not.",
        NINE,
        None,
    ),
    ("openai", events(delta("A cup", "content_filter")), {}, "content_filter: ", U(), None),
    ("openai", events(delta("A cup.", "stop"), LAST, done=False), {}, "A cup.", NINE, None),
    ("openai", events(delta("A cup.", "stop"), done=False) + b'data: {"usa', {}, "A cup.", U(), None),
    ("vllm", said(usage=counted(cached_tokens=2, multimodal_tokens={"image": 7})), {}, "A cup.", U(9, 2, 7, 4), None),
    ("vllm", said(None, "length", reasoning="Hmm"), {}, THOUGHT, U(), None),
    ("vllm", events(delta(None, reasoning="Hm"), delta(None, "length", reasoning="m"), LAST), {}, THOUGHT, NINE, None),
    ("vllm", said("A cup on", "length"), {}, "cut: ", U(), None),
    ("vllm", said("A cup on", None), {}, "cut: ", U(), None),
    ("vllm", b"\xef\xbb\xbf" + events(delta("A cup.", "stop")).replace(b"\n", b"\r\n"), {}, "A cup.", U(), None),
    ("sglang", said(usage={**PLAIN, "reasoning_tokens": 2}), {}, "A cup.", U(9, None, None, 4, 2), None),
    ("llamacpp", said(usage=counted(cached_tokens=8)), {}, "A cup.", U(9, 8, None, 4), None),
    ("llamacpp", native(), {}, "A cup.", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="word"), {}, "A cup.", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="limit"), {}, "cut: ", U(30, 29, None, 8), None),
    ("llamacpp", native(truncated=True), {}, "cut: ", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="none"), {}, "cut: ", U(30, 29, None, 8), None),
    ("ollama", events(delta("A cup.", "stop")) + b'data: {"error": "too late"}\n\n', {}, "A cup.", U(), None),
    ("ollama", events(delta("A "), OTHER, delta("cup.", "stop")), {}, "A cup.", U(), None),
    ("ollama", said(usage={**PLAIN, "total_tokens": 13}), {}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "0.0025"}, "A cup.", NINE, 0.0025),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "0.0"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "nan"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "None"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), PROXIED, "A cup.", U(9, 6, None, 4), None),
    ("generic", said([{"type": "text", "text": "A cup."}]), {}, "A cup.", U(), None),
    ("generic", said(reason="tool_calls"), {}, "A cup.", U(), None),
]


@pytest.mark.parametrize(("dialect", "status", "body", "means"), FAILURES)
def test_no_failure_is_misread(dialect: str, status: int, body: Any, means: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = provider(dialect)
    error: Exception
    if status == 200:
        with pytest.raises(CallError) as caught:
            client.read(raw)
        error = caught.value
    else:
        error = client.refusal(Reply(status, {}, raw))
    if means.startswith(STOP):
        assert isinstance(error, ServerError), error
        assert means.removeprefix(STOP) in str(error)
        return
    assert isinstance(error, CallError), error
    assert error.starting == (means == WAIT)
    assert error.kind == ("http_5xx" if means == WAIT else means.partition(" ")[0])
    assert error.reached
    assert not means.endswith("of address") or error.of_address
    assert error.status == status


@pytest.mark.parametrize(("dialect", "body", "headers", "means", "usage", "cost"), SUCCESSES)
def test_no_answer_is_misread(
    dialect: str, body: Any, headers: dict[str, str], means: str, usage: Usage, cost: float | None
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = provider(dialect)
    answer = client.read(raw, client.notes(Reply(200, {**headers, "date": "today"}, raw)))
    assert (answer.usage, answer.cost_usd) == (usage, cost)
    assert outcome(answer).startswith(means) if ": " in means else outcome(answer) == means


def outcome(answer: Completion) -> str:
    try:
        return checked(answer)
    except ItemError as error:
        detail = error.message.removeprefix("the answer is empty (").removeprefix("the model refused: ")
        return f"{error.kind}: {detail}"


def test_every_dialect_is_in_the_table() -> None:
    assert {case[0] for case in FAILURES} == {case[0] for case in SUCCESSES} == DIALECTS.keys() - {"embedded"}
