"""Every failure that the protocol sheet names, one line a case: what it is to be read as."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import CallError, ServerError
from pipeline.core.types import Reply
from pipeline.providers.dialects import DIALECTS
from tests.providers.bodies import GRPC, HTML, delta, err, events, fw, lc, lite, raw, said, sg
from tests.providers.examples import provider

EXHAUSTED = "Resource has been exhausted (e.g. check quota)."
PER_MINUTE = "You exceeded your current quota: Quota exceeded for requests per minute"
GEMINI = "You exceeded your current quota, please check your plan and billing details."

# dialect, status, body, what it means: a kind of CallError, STOP with a piece of the advice (ENDS under status 200:
# the reply is kept), WAIT for a starting server
STOP, ENDS, WAIT = "stop: ", "ends: ", "starting"
FAILURES: list[tuple[str, int, Any, str]] = [
    ("fireworks", 400, fw("messages.0.content.1.uuid: Extra inputs are not permitted"), STOP + "provider.dialect"),
    ("fireworks", 400, fw("Requests with max_tokens > 4096 must have stream=true"), STOP + "max_tokens"),
    ("fireworks", 400, fw("JSON Schema not supported: could not understand the instance"), STOP + "schema"),
    ("fireworks", 400, fw("len(combined_imgs) = 1 while len(image_ranges) = 0"), STOP + "takes no pictures"),
    ("fireworks", 400, fw("the model does not support image format image/webp"), "image_rejected"),
    ("fireworks", 400, fw("the model does not support image inputs."), STOP + "takes no pictures"),
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
    ("openai", 400, err("gpt-x doesn't support image type TIFF"), "image_rejected"),
    ("openai", 400, err("gpt-x does not support images larger than 20 MB"), "image_rejected"),
    ("openai", 400, err("gpt-x does not support vision for images of this size"), "image_rejected"),
    ("openai", 400, err("gpt-x does not support images"), STOP + "takes no pictures"),
    ("openai", 400, err("gpt-x does not support image input, choose another"), STOP + "takes no pictures"),
    ("openai", 400, err("gpt-x does not support vision."), STOP + "takes no pictures"),
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
    ("ollama", 500, {"error": "this model doesn't support image format webp"}, "image_rejected"),
    ("ollama", 500, {"error": "this model does not support images"}, STOP + "takes no pictures"),
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
    ("litellm", 400, lite("BadRequestError", "400", "x does not support image format 'webp'"), "image_rejected"),
    ("litellm", 400, lite("BadRequestError", "400", '{"message":"no: doesn\'t support images"}'), STOP + "no pictures"),
    ("litellm", 429, lite("RateLimitError", "429", f"VertexAIException - {EXHAUSTED}... {PER_MINUTE}"), "http_429"),
    ("litellm", 429, lite("RateLimitError", "429", f"GeminiException - {GEMINI} Please retry in 29.1s."), "http_429"),
    ("litellm", 429, lite("RateLimitError", "429", GEMINI + ' "GenerateRequestsPerMinutePerProject"'), "http_429"),
    ("litellm", 429, lite("RateLimitError", "429", f"OpenAIException - {GEMINI}"), STOP + "Add credit"),
    ("litellm", 429, lite("RateLimitError", "429", "resource exhausted: credits are depleted"), STOP + "Add credit"),
    ("litellm", 429, lite("RateLimitError", "429", "insufficient credits"), STOP + "Add credit"),
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
    ("vllm", 200, events(delta("A", "error"), err("slow down", "rate_limit_exceeded")), "http_429"),
    ("vllm", 200, events(delta("", "stop"), err("busy", 503)), "http_5xx"),
    ("vllm", 200, events(delta(None, "stop", reasoning="Hm"), err("busy", 503)), "http_5xx"),
    ("litellm", 200, events(lite("RateLimitError", "429")), "http_429"),
    ("litellm", 200, events(lite("ContentPolicyViolationError", "400")), "content_filter"),
    ("sglang", 200, sg("Internal server error", 500), "http_5xx"),
    ("openai", 200, err("Incorrect API key provided", "invalid_api_key"), ENDS + "API key"),
    ("openai", 200, err("Incorrect API key provided", 401), ENDS + "API key"),
    ("openai", 200, err("You exceeded your quota", "insufficient_quota", "insufficient_quota"), ENDS + "Add credit"),
    ("openai", 200, err("You exceeded your current quota", 429), ENDS + "Add credit"),
    ("openai", 200, events(delta("A "), err("payment required", "402")), ENDS + "Add credit"),
    ("openai", 200, err("no such model", "model_not_found"), ENDS + "provider.model"),
    ("openai", 200, err("your input was flagged", 403), "content_filter of address"),
    ("openai", 200, err("Invalid schema for x", "invalid_json_schema"), "http_5xx"),
    ("fireworks", 200, fw("no", "UNAUTHORIZED"), ENDS + "API key"),
    ("fireworks", 200, err("account suspended", 412), ENDS + "suspended"),
    ("vllm", 200, events(err("forbidden", 403)), ENDS + "permissions of address"),
    ("litellm", 200, events(lite("AuthenticationError", "500")), ENDS + "API key"),
    ("litellm", 200, lite("RateLimitError", "429", f"GeminiException - {GEMINI} Please retry in 29.1s."), "http_429"),
    ("fireworks", 200, events(delta("A "), done=False), "connection"),
    ("fireworks", 200, events(delta("A ")), "connection"),
    ("fireworks", 200, events(delta("A "), delta(" cup"), done=False)[:-9], "connection"),
    ("fireworks", 200, b": keep-alive\n\n", "connection"),
    ("fireworks", 200, said(reason="error"), "http_5xx"),
    ("generic", 200, HTML, "http_5xx"),
    ("generic", 200, b"", "http_5xx"),
]


@pytest.mark.parametrize(("dialect", "status", "body", "means"), FAILURES)
def test_no_failure_is_misread(dialect: str, status: int, body: Any, means: str) -> None:
    client = provider(dialect)
    error: Exception
    if status == 200:
        with pytest.raises(CallError) as caught:
            client.read(raw(body))
        error = caught.value
    else:
        error = client.refusal(Reply(status, {}, raw(body)))
    if means.startswith(STOP):
        assert isinstance(error, ServerError), error
        assert means.removeprefix(STOP) in str(error)
        return
    assert isinstance(error, CallError), error
    assert error.ends_run == means.startswith(ENDS)
    assert not means.endswith("of address") or error.of_address
    if error.ends_run:
        assert means.removeprefix(ENDS).removesuffix(" of address") in error.message
        assert error.meaning.retryable
        return
    assert error.starting == (means == WAIT)
    assert error.kind == ("http_5xx" if means == WAIT else means.partition(" ")[0])
    assert error.reached
    assert error.status == status


def test_every_dialect_is_in_the_table() -> None:
    assert {case[0] for case in FAILURES} == DIALECTS.keys() - {"embedded"}
