"""Real refusals, shortened, and what each of them means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import KINDS, CallError, ServerError
from pipeline.core.types import Reply
from pipeline.providers.errors import Asked, refusal
from tests.providers.examples import KEY
from tests.support.scripts import Shape, error_body

URL = "http://server.example/v1/chat/completions"
ASKED = Asked(URL, ("a/model",), KEY)


def openai(message: str, kind: str | None = None, code: Any = None, param: str | None = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def judge(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> CallError | ServerError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(Reply(status, headers or {}, raw), ASKED)


VLLM_LONG = (
    "This model's maximum context length is 4096 tokens. However, your prompt contains at least 4097 input tokens"
)
VLLM_ASPECT = "Failed to apply Qwen2_5_VLProcessor on data={'images': [<PIL.Image.Image image mode=RGB size=4000x10>]}"
LITELLM = "litellm.BadRequestError: OpenAIException - "
LITELLM_LONG = "litellm.ContextWindowExceededError: litellm.BadRequestError: request (10668 tokens) exceeds the size"

ROWS: list[tuple[str, int, Any]] = [
    # vLLM 0.32
    ("image_rejected", 400, openai("Non-base64 digit found", "BadRequestError", 400)),
    ("image_rejected", 400, openai("Failed to load image: cannot identify image file", "BadRequestError", 400)),
    (
        "image_rejected",
        400,
        openai("At most 2 image(s) may be provided in one prompt.", "BadRequestError", 400, "image"),
    ),
    ("image_rejected", 400, openai(VLLM_ASPECT, "BadRequestError", 400)),
    ("context_too_long", 400, openai(VLLM_LONG, "BadRequestError", 400, "input_tokens")),
    ("context_too_long", 400, openai("max_tokens=9999 cannot be greater than max_model_len=4096.", None, 400)),
    ("bad_request", 400, openai("temperature must be non-negative, got -3.0.", "BadRequestError", 400, "temperature")),
    ("bad_request", 400, openai("8 validation errors\n0.ChatCompletionContentPartImageParam.image_url", None, 400)),
    ("http_5xx", 500, openai("Cannot connect to host 127.0.0.1:9 ssl:default", "InternalServerError", 500)),
    ("image_rejected", 501, openai("Only base64 data URLs are supported for now.", "NotImplementedError", 501, "data")),
    # llama.cpp, 2026-10
    ("image_rejected", 400, {"error": {"code": 400, "message": "Failed to load image or audio file", "type": "x"}}),
    ("image_rejected", 500, {"error": {"code": 500, "message": "Failed to load image or audio file", "type": "x"}}),
    ("context_too_long", 400, openai("request (10668 tokens) exceeds it", "exceed_context_size_error", 400)),
    ("bad_request", 400, openai("unsupported content[].type", "invalid_request_error", 400)),
    ("http_5xx", 503, openai("Loading model", "unavailable_error", 503)),
    ("http_5xx", 500, openai("error: cannot make GET request", "server_error", 500)),
    # LiteLLM 1.106
    ("image_rejected", 400, openai(LITELLM + "Failed to load image or audio file", "invalid_request_error", "400")),
    ("context_too_long", 400, openai(LITELLM_LONG, "invalid_request_error", "400")),
    ("content_filter", 400, openai("litellm.ContentPolicyViolationError: refused", None, "400")),
    ("http_5xx", 500, openai("litellm.InternalServerError: OpenAIException", "internal_server_error", "500")),
    ("http_429", 429, openai("litellm.RateLimitError: slow down", "throttling_error", "429")),
    # SGLang 0.5: flat
    ("image_rejected", 400, {"object": "error", "message": "Error while loading data iVBO: bad", "type": "BadRequest"}),
    ("context_too_long", 400, {"object": "error", "message": "longer than the model's context length", "code": 400}),
    ("http_5xx", 503, {"object": "error", "message": "The request queue is full.", "type": "Unavailable", "code": 503}),
    # transformers serve 5.19, llmock 0.2
    ("bad_request", 501, openai("not implemented")),
    ("http_5xx", 500, b"Internal Server Error"),
    ("bad_request", 422, {"detail": [{"type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error"}]}),
    ("bad_request", 422, openai("body: JSON decode error", "invalid_request_error", "unprocessable_entity")),
    ("http_429", 429, openai("Rate limit reached for tokens per minute", "rate_limit_error", "rate_limit_exceeded")),
    # OpenAI
    ("context_too_long", 400, openai("too much", "invalid_request_error", "context_length_exceeded")),
    ("schema_mismatch", 500, openai("The model produced output that does not match the expected peg-native format")),
    ("image_rejected", 400, openai("You uploaded an unsupported one", "invalid_request_error", "invalid_image_format")),
    ("content_filter", 400, openai("Your request was rejected", None, "content_policy_violation")),
    ("content_filter", 403, openai("Your input was flagged", None, None)),
    ("context_too_long", 429, openai("Request too large for gpt-x on tokens per min", "tokens", "rate_limit_exceeded")),
    (
        "http_429",
        429,
        openai("Limit 30000. Add a payment method at .../account/billing", "tokens", "rate_limit_exceeded"),
    ),
    # Fireworks
    ("http_429", 429, {"error": "Too Many Requests", "message": "try later"}),
    ("http_5xx", 503, openai("The deployment is starting", "error", "DEPLOYMENT_SCALING_UP")),
    ("context_too_long", 400, {"error": {"object": "error", "message": "The prompt is too long: 9, maximum 8"}}),
    ("image_rejected", 400, {"code": 3, "message": "could not process image 0", "details": []}),
    # a rate limit worded like an empty account, with a code that tells them apart (Gemini)
    (
        "http_429",
        429,
        {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}},
    ),
    ("http_429", 400, openai("slow down", None, "rate_limit_exceeded")),
    # gateways
    ("http_5xx", 502, b"<html><head><title>502 Bad Gateway</title></head></html>"),
    ("http_5xx", 504, b""),
    ("http_5xx", 529, b""),
    ("http_5xx", 520, b"error code: 520"),
    ("http_5xx", 425, b""),
    ("http_5xx", 409, b""),
    ("timeout", 408, b""),
    ("bad_request", 413, b"<html><title>413 Request Entity Too Large</title></html>"),
    ("bad_request", 418, [{"error": {"message": "teapot"}}]),
    # words within words are no words
    ("bad_request", 400, openai("cannot generate, operate or separate imagery")),
    ("bad_request", 400, openai("mycontext lengthy imagesque prebase64x")),
]

STOPS: list[tuple[str, int, Any]] = [
    ("Check the API key", 401, {"error": "Unauthorized"}),
    ("Check the API key", 401, openai("Incorrect API key provided", "invalid_request_error", "invalid_api_key")),
    ("Check the API key", 400, openai("No connected db.", "no_db_connection", "400")),
    ("Check the API key", 400, openai("Authentication Error, LiteLLM Virtual Key expected", "auth_error", "400")),
    (
        "Check the API key",
        400,
        openai("litellm.AuthenticationError: AuthenticationError: OpenAIException", None, "400"),
    ),
    ("check its permissions", 403, {"error": {"message": "m", "param": None, "code": "UNAUTHORIZED", "type": "error"}}),
    ("check its permissions", 403, b"<html><title>Forbidden</title></html>"),
    ("Add credit", 402, openai("payment required")),
    ("Add credit", 429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
    ("Add credit", 429, {"error": {"object": "error", "message": "monthly spending limit reached"}}),
    ("Add credit", 400, openai("Budget has been exceeded! Current cost: 5", "budget_exceeded", "400")),
    ("Add credit", 429, openai("litellm.BudgetExceededError: Budget has been exceeded!", None, "429")),
    ("suspended", 412, openai("account suspended")),
    ("Check provider.model", 404, openai("The model `nope` does not exist.", "NotFoundError", 404, "model")),
    ("Check provider.model", 404, {"detail": "Not Found"}),
    ("Check provider.model", 405, {"detail": "Method Not Allowed"}),
    ("Check provider.model", 400, openai("/chat/completions: Invalid model name passed in model=nope.", None, "400")),
    ("Check provider.model", 400, {"detail": "Server is pinned to 'emb/tiny-llava'; requested 'nope'."}),
    ("Check provider.model", 404, {"code": 5, "message": "model not found", "details": []}),
    ("provider.dialect", 400, openai("messages.0.content.1.uuid: Extra inputs are not permitted")),
    ("provider.dialect", 422, {"detail": [{"msg": "Extra inputs are not permitted", "loc": ["body"]}]}),
    ("lower the task's max_tokens", 400, openai("Requests with max_tokens > 4096 must have stream=true")),
    ("simplify the schema", 400, openai("JSON Schema not supported: patternProperties")),
    ("simplify the schema", 400, openai("parser generation failed: JSON schema error at #: unrecognized type nope")),
    ("simplify the schema", 400, openai("Invalid schema for response_format 'caption'")),
    ("takes no pictures", 400, openai("tiny-lm is not a multimodal model", "BadRequestError", 400)),
    ("takes no pictures", 500, {"error": {"code": 500, "message": "image input is not supported - hint: mmproj"}}),
    ("takes no pictures", 400, openai("len(combined_imgs) = 1 while len(image_ranges) = 0")),
    ("Set provider.base_url", 308, b""),
]


@pytest.mark.parametrize(("kind", "status", "body"), ROWS)
def test_a_row_fails_and_others_go_on(kind: str, status: int, body: Any) -> None:
    error = judge(status, body)
    assert isinstance(error, CallError)
    assert (error.kind, error.status, error.reached) == (kind, status, True)


@pytest.mark.parametrize(("advice", "status", "body"), STOPS)
def test_a_run_stops_with_a_sentence_that_says_what_to_do(advice: str, status: int, body: Any) -> None:
    error = judge(status, body)
    assert isinstance(error, ServerError)
    assert advice in str(error)
    assert f"{URL} (model a/model) answered {status}: " in str(error)


def test_a_redirect_says_where_to() -> None:
    error = judge(301, b"", {"location": "https://elsewhere.example/v1"})
    assert "redirects to https://elsewhere.example/v1." in str(error)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_wait_that_the_server_asks_for_is_handed_on(status: int) -> None:
    error = judge(status, b"", {"retry-after": "7"})
    assert isinstance(error, CallError)
    assert error.retry_after == 7.0
    told_nothing = judge(status)
    assert isinstance(told_nothing, CallError)
    assert told_nothing.retry_after is None


SHAPES: list[Shape] = ["openai", "object", "flat", "text", "numbered", "detail", "detail_list", "html", "empty"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_no_shape_of_a_body_brings_the_key_to_light(shape: Shape, status: int) -> None:
    error = judge(status, error_body(shape, status, f"you sent Bearer {KEY} and {KEY * 9}"))
    assert KEY not in str(error)
    assert "sk-secret" not in str(error)
    assert len(str(error)) < 600


@given(st.integers(100, 599), st.binary(max_size=80) | st.text(max_size=80).map(openai))
def test_any_refusal_means_something(status: int, body: Any) -> None:
    error = judge(status, body)
    assert isinstance(error, ServerError) or error.kind in KINDS
    str(error).encode()
