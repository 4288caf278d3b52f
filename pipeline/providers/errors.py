"""From a refusing reply to one of ours: status first, then code and type, then whole words of the message.

    ServerError            every request would fail so: the run stops, and the sentence says what to do
    CallError, ends_run    the same of a reply under status 200, which is kept
    CallError row kinds    content_filter, context_too_long, image_rejected, bad_request: this row fails, others go on
    CallError, retryable   timeout (408), http_429, http_5xx (also 409, 425): asked again later
    CallError, starting    a server that is there and has not loaded its model yet: waited for

Messages decide only where servers leave nothing else. Bodies: docstring of complaint.py. Statuses and wordings:
observed on vLLM 0.32, llama.cpp (2026-10), LiteLLM 1.106, transformers serve 5.19 and llmock 0.2.2 (2026-11-22), read
in the sources of vLLM 0.33, SGLang 0.5.23 and LiteLLM 1.109, and from Fireworks' and OpenAI's error pages of that date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from pipeline.core.errors import CallError, ServerError
from pipeline.core.types import Reply
from pipeline.providers.complaint import Complaint, complaint, fit, without_signatures
from pipeline.storage.retry_after import retry_after

KEY: Final = "Check the API key (provider.api_key_env) and that it belongs to this server."
PERMISSION: Final = "The key may not do this: check its permissions, the region and provider.model."
MONEY: Final = "Add credit or raise the spend limit of the account, then run the same command again."
ACCOUNT: Final = "The account is suspended or the model failed to load: look at the provider's console."
MODEL: Final = "Check provider.model and provider.base_url."
REDIRECT: Final = "Set provider.base_url to the address that it redirects to."
FIELD: Final = "The server refuses a field of the request: choose the right provider.dialect."
STREAM: Final = "It gives answers this long only as a stream: lower the task's max_tokens."
SCHEMA: Final = "It cannot enforce the task's schema: simplify the schema."
VISION: Final = "The model takes no pictures: choose one that does (llama-server needs --mmproj)."

OF_FORM: Final = frozenset({FIELD, STREAM, SCHEMA, VISION})
"""What a question in another form need not meet: a repair has other fields than the question that it repeats."""

STATUS_STOPS: Final = {401: KEY, 402: MONEY, 403: PERMISSION, 404: MODEL, 405: MODEL, 410: MODEL, 412: ACCOUNT}

CODE_STOPS: Final = {
    "invalid_api_key": KEY,
    "unauthorized": KEY,
    "auth_error": KEY,
    "authentication_error": KEY,
    "token_not_found_in_db": KEY,
    "no_db_connection": KEY,  # LiteLLM without a database, asked with a key that is not its master key
    "permission_denied": PERMISSION,
    "permission_error": PERMISSION,
    "insufficient_quota": MONEY,
    "billing_hard_limit_reached": MONEY,
    "billing_not_active": MONEY,
    "budget_exceeded": MONEY,
    "model_not_found": MODEL,
    "invalid_json_schema": SCHEMA,
}


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


NO_VISION: Final = _words(
    r"not a multimodal model|image input is not supported|image_url is only supported by certain models"
    r"|len\(combined_imgs\)|(?:does not|doesn't) support (?:images?|vision)"
    r"(?: (?:inputs?|content|capabilities|features))?(?: (?:as inputs?|at all|yet))?(?=[.,;!)\]}\"'\\\n]|\s+-\s|\s*$)"
)
"""A sentence that goes on after it ("... support image format image/webp") is about one picture."""
MESSAGE_STOPS: Final = (
    (_words(r"AuthenticationError|authentication error|(?:invalid|incorrect) api key|no connected db"), KEY),
    (_words(r"invalid model name|server is pinned to"), MODEL),
    (_words(r"extra inputs are not permitted|UnsupportedParamsError"), FIELD),
    (_words(r"stream ?= ?true"), STREAM),
    (_words(r"json schema (?:error|not supported|contains features)|(?:invalid|unsupported)(?: json)? schema"), SCHEMA),
    (_words(r"BudgetExceededError|budget has been exceeded"), MONEY),
)
NO_MONEY: Final = _words(
    r"spend(?:ing)? (?:limit|cap)|insufficient (?:credits?|funds|balance)|out of credits?|credits are depleted"
    r"|budget has been exceeded"
)
QUOTA: Final = _words(r"exceeded your current quota|insufficient quota")
"""An empty account, unless a code or other words say that it is a limit of a minute: Gemini words both alike."""
PASSING_LIMIT: Final = re.compile(
    r"per[ _-]?(?:second|min)|resource[ _](?:has been )?exhausted|quota exceeded for|retry in \d", re.IGNORECASE
)
"""Gemini's words for such a limit, which LiteLLM hands on without their code (its issues 11725 and 33421, 2026-07)."""

RATE_CODES: Final = frozenset(
    {"rate_limit_exceeded", "rate_limit_error", "too_many_requests", "requests", "tokens", "resource_exhausted"}
)
FILTER_CODES: Final = frozenset({"content_policy_violation", "content_filter", "moderation_blocked"})
FILTER: Final = _words(r"ContentPolicyViolationError|content (?:management )?policy|safety system|input was flagged")
CONTEXT_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})
CONTEXT: Final = _words(
    r"ContextWindowExceededError|context (?:length|window|size)|max_model_len|maximum model length"
    r"|(?:prompt|input) is too long|request too large"
)
IMAGE_CODES: Final = frozenset({"invalid_image_format", "invalid_image_url", "invalid_image", "sanitizer_server_error"})
IMAGE: Final = _words(r"images?|ImageFetchError|base64|incorrect padding|error while loading data")
ADDRESS: Final = _words(
    r"(?:image|media|picture)[_ ]?urls?|download(?:ing|ed)?|fetch(?:ing|ed)?|cannot connect to host|name or service"
    r"|upstream status code|ImageFetchError|error while loading data|connection timeout to host|timeout on reading data"
)
"""Words about a picture that the server was to fetch itself: vLLM 0.33 and llama.cpp say them under a status of 500."""
LOADING: Final = _words(r"error while loading data")
PASSING: Final = _words(
    r"time(?:d[ -]?)?out|connection(?: ?error)?|connect|name resolution|max retries exceeded|5\d\d (?:server )?error"
    r"|remote end closed|temporarily unavailable|too many requests|429 client error"
)
"""Causes that may be gone soon: SGLang 0.5.23 tells every picture that it could not load as a bad request."""
STARTING_CODES: Final = frozenset({"deployment_scaling_up"})
STARTING: Final = _words(
    r"loading model|model is (?:still )?(?:being )?load(?:ed|ing)|(?:engine|server|deployment|model) is (?:still )?"
    r"(?:starting|scaling|warming)(?: up)?"
)
BY_CODE: Final = ((CONTEXT_CODES, "context_too_long"), (IMAGE_CODES, "image_rejected"), (RATE_CODES, "http_429"))
BROKEN_ANSWER: Final = _words(r"model produced output that does not match the expected")
BROKEN_IMAGE: Final = _words(
    r"failed to load image|(?:cannot identify|could not decode) image|image file is truncated"
    r"|(?:does not|doesn't) support images?"
)

LITELLM: Final = {
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "Timeout": 408,
    "RateLimitError": 429,
    "InternalServerError": 500,
    "APIConnectionError": 500,
    "BadGatewayError": 502,
    "ServiceUnavailableError": 503,
}
"""What LiteLLM's exceptions mean, whatever status they come with (litellm/exceptions.py of 1.109.1, 2026-11-22)."""
_EXCEPTION = re.compile(r"\s*(?:litellm\.)?([A-Z]\w+): ")


class Asked(NamedTuple):
    """What was asked, for messages: the address, the models, and the key that no message may carry."""

    url: str
    models: tuple[str, ...]
    secret: str | None


def refusal(reply: Reply, asked: Asked) -> CallError | ServerError:
    """What a reply of a status other than 2xx means."""
    said = complaint(reply.body)
    text = fit(said.message, asked.secret) or "no message"
    status = _meant(reply.status, said)
    advice = None if _filtered(status, said) else _stop(status, said)
    if advice:
        models = ", ".join(asked.models)
        where = f"{asked.url} (model {models})" if models else asked.url
        target = (
            fit(f" It redirects to {reply.headers['location']}.", asked.secret) if "location" in reply.headers else ""
        )
        return ServerError(f"{where} answered {reply.status}: {text}.{target} {advice}", of_form=advice in OF_FORM)
    kind = _kind(status, said)
    return CallError(
        kind,
        f"the server answered {reply.status}: {text}",
        reply.status,
        retry_after=retry_after(reply.headers),
        of_address=kind in {"image_rejected", "bad_request"} or bool(ADDRESS.search(said.message)),
        starting=reply.status == 503 and (bool(said.codes & STARTING_CODES) or bool(STARTING.search(said.message))),
    )


def within_success(body: Mapping[str, object], secret: str | None) -> CallError:
    """What an error means that came under status 200, alone or in the middle of a stream: always a CallError, because
    it is read from a kept body. A code that is a status counts as one, also that of a picture's host (403, 404).
    """
    said = complaint(without_signatures(orjson.dumps(body)))
    text = fit(said.message, secret)
    stated = min((int(code) for code in said.codes if re.fullmatch("[45][0-9][0-9]", code)), default=None)
    kind = _kind(_meant(stated or 500, said), said)
    if kind == "bad_request":  # it was good enough to begin with
        kind = "http_5xx"
    refused = _meant(stated or 400, said)
    advice = None if _filtered(refused, said) else _stop(refused, said)
    if advice in OF_FORM:  # so is the form of the request
        advice = None
    what = "the server reports an error under status 200"
    message = f"{what}: {text}" if text else what
    return CallError(
        kind,
        f"{message}. {advice}" if advice else message,
        200,
        of_address=stated in {403, 404} or bool(ADDRESS.search(said.message)),
        ends_run=advice is not None,
    )


def _meant(status: int, said: Complaint) -> int:
    """The status that LiteLLM's exception stands for, where its name leads the message."""
    named = _EXCEPTION.match(said.message) if status >= 400 else None
    return LITELLM.get(named[1], status) if named else status


def _filtered(status: int, said: Complaint) -> bool:
    return status in {400, 403, 422} and (bool(said.codes & FILTER_CODES) or bool(FILTER.search(said.message)))


def _stop(status: int, said: Complaint) -> str | None:
    """What to do about a refusal that every request would meet; None when it is not one."""
    if status < 400:
        return REDIRECT if status >= 300 else None
    if status in STATUS_STOPS:
        return STATUS_STOPS[status]
    if NO_VISION.search(said.message):
        return VISION
    if status >= 500:
        return None
    for code, advice in CODE_STOPS.items():
        if code in said.codes:
            return advice
    if status == 429:
        passing = said.codes & RATE_CODES or PASSING_LIMIT.search(said.message)
        empty = NO_MONEY.search(said.message) or (QUOTA.search(said.message) and not passing)
        return MONEY if empty else None
    return next((advice for words, advice in MESSAGE_STOPS if words.search(said.message)), None)


def _kind(status: int, said: Complaint) -> str:
    if _filtered(status, said):
        return "content_filter"
    if status == 429:
        # A single request above the quota of a whole minute never fits.
        return "context_too_long" if _words("request too large").search(said.message) else "http_429"
    if status == 408:
        return "timeout"
    if status in {409, 425}:
        return "http_5xx"
    if status >= 500 and status != 501:
        # llama.cpp blames itself for a picture that it cannot read, and for an answer that breaks the schema.
        if BROKEN_IMAGE.search(said.message):
            return "image_rejected"
        # Behind a 5xx, or in a stream that has begun, the code still knows better.
        for codes, kind in BY_CODE:
            if said.codes & codes:
                return kind
        return "schema_mismatch" if BROKEN_ANSWER.search(said.message) else "http_5xx"
    return _row_kind(status, said)


def _row_kind(status: int, said: Complaint) -> str:
    for codes, kind in BY_CODE:
        if said.codes & codes:
            return kind
    if status < 400:
        return "http_5xx"
    if LOADING.search(said.message):
        return "http_5xx" if PASSING.search(said.message) else "image_rejected"
    if CONTEXT.search(said.message):
        return "context_too_long"
    return "image_rejected" if IMAGE.search(said.message) else "bad_request"
