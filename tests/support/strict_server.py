"""What real servers refuse, as a script for the fake server: one personality a dialect, from PROTOCOL's sources.

The tables here were written from the servers' documentation and source (2026-11-22), not from the product: a field, a
format or a form that is not in them is refused, in the words and the shape of the real server. Some real servers ignore
what they do not know (vLLM, llama.cpp); here they refuse it too, because a client that sends it believes in it.

    with FakeServer(strict("fireworks")) as server: ...
"""

import json
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.exchange import Reply, Request, Script
from tests.support.schemas import obey
from tests.support.scripts import Shape, caption_of, error_body

_SAMPLING = "temperature top_p seed n stop response_format frequency_penalty presence_penalty stream"
_CHAT = f"model messages {_SAMPLING}"


@dataclass(frozen=True)
class Personality:
    """What one kind of server takes, and how it speaks. Sizes are base64 characters; None is no limit."""

    fields: str
    media: str
    shape: Shape = "openai"
    code: Any = None
    most_images: int | None = None
    most_base64: int | None = None
    links: bool = False
    stream_above: int | None = None
    tells: Callable[[int, int], tuple[dict[str, Any], dict[str, str]]] = lambda prompt, cached: (
        {"prompt_tokens_details": {"cached_tokens": cached}},
        {},
    )
    completion_fields: str = ""


def _fireworks(prompt: int, cached: int) -> tuple[dict[str, Any], dict[str, str]]:
    return {}, {"fireworks-prompt-tokens": str(prompt), "fireworks-cached-prompt-tokens": str(cached)}


def _openai(prompt: int, cached: int) -> tuple[dict[str, Any], dict[str, str]]:
    return {"prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": prompt - cached}}, {}


def _litellm(prompt: int, cached: int) -> tuple[dict[str, Any], dict[str, str]]:
    price = {"x-litellm-response-cost": "0.00125", "x-litellm-call-id": "call-1"}
    return {}, {**price, "llm_provider-fireworks-cached-prompt-tokens": str(cached)}


def _nothing(prompt: int, cached: int) -> tuple[dict[str, Any], dict[str, str]]:
    return {}, {}


_FIREWORKS = (
    "max_tokens max_completion_tokens top_k min_p repetition_penalty context_length_exceeded_behavior prompt_cache_key "
    "user perf_metrics_in_response service_tier metadata reasoning_effort"
)
PERSONALITIES = {
    "fireworks": Personality(
        f"{_CHAT} {_FIREWORKS}",
        "png jpg jpeg gif bmp tiff ppm",
        "object",
        "invalid_request_error",
        most_images=30,
        most_base64=10_000_000,
        links=True,
        stream_above=4096,
        tells=_fireworks,
        completion_fields=f"model prompt images {_SAMPLING} {_FIREWORKS}",
    ),
    "openai": Personality(
        f"{_CHAT} max_completion_tokens stream_options prompt_cache_key store",
        "png jpeg webp gif",
        code="invalid_value",
        most_images=1500,
        most_base64=512_000_000,
        links=True,
        tells=_openai,
    ),
    "vllm": Personality(
        f"{_CHAT} max_tokens stream_options repetition_penalty top_k min_p structured_outputs mm_processor_kwargs",
        "png jpeg gif webp bmp tiff avif",
        code=400,
        links=True,
    ),
    "sglang": Personality(
        f"{_CHAT} max_tokens stream_options repetition_penalty regex ebnf",
        "png jpeg gif webp bmp tiff",
        "flat",
        links=True,
    ),
    "llamacpp": Personality(
        f"{_CHAT} max_tokens stream_options repeat_penalty grammar cache_prompt",
        "png jpeg gif bmp",
        code=400,
        links=True,
        completion_fields="model prompt n_predict temperature seed stream json_schema repeat_penalty",
    ),
    "ollama": Personality(f"{_CHAT} max_tokens stream_options reasoning_effort", "jpeg jpg png webp", tells=_nothing),
    "litellm": Personality(f"{_CHAT} max_tokens stream_options", "png jpeg gif webp", code="400", tells=_litellm),
    "generic": Personality("model messages temperature max_tokens seed response_format frequency_penalty", "png jpeg"),
}


class RefusedError(Exception):
    """A request that the real server would refuse; the text is its message."""


def strict(name: str, *, prompt: int = 900, cached: int = 640) -> Script:
    """Answers what the real server would take, of so many prompt and cached tokens, and refuses everything else."""
    server = PERSONALITIES[name]

    def script(request: Request) -> Reply:
        try:
            body = json.loads(request.body)
            pictures = _checked(server, request.path, body)
        except (RefusedError, ValueError) as refused:
            return Reply(400, error_body(server.shape, 400, str(refused), server.code, "invalid_request_error"))
        return _answered(server, request, body, pictures, prompt, cached)

    return script


def _checked(server: Personality, path: str, body: dict[str, Any]) -> list[str]:
    """The pictures' addresses, in order."""
    chat = path.endswith("/chat/completions")
    fields = (server.fields if chat else server.completion_fields).split()
    if unknown := sorted(body.keys() - set(fields)):
        raise RefusedError(f"{unknown[0]}: Extra inputs are not permitted")
    if "model" not in body or not isinstance(body["model"], str):
        raise RefusedError("model: Field required")
    room = body.get("max_tokens", body.get("max_completion_tokens", body.get("n_predict", 16)))
    if server.stream_above is not None and room > server.stream_above and body.get("stream") is not True:
        raise RefusedError(f"Requests with max_tokens > {server.stream_above} must have stream=true")
    form = body.get("response_format")
    if form is not None and (form.keys() != {"type", "json_schema"} or form["json_schema"].keys() < {"name", "schema"}):
        raise RefusedError("response_format: invalid schema")
    pictures = _in_messages(body["messages"]) if chat else _in_prompt(body)
    if server.most_images is not None and len(pictures) > server.most_images:
        raise RefusedError(f"At most {server.most_images} image(s) may be provided in one prompt")
    inline = [_inline(server, picture) for picture in pictures if not picture.startswith("http")]
    if len(inline) < len(pictures) and not server.links:
        raise RefusedError("image URLs are not currently supported, please use base64 encoded data instead")
    if server.most_base64 is not None and sum(map(len, inline)) >= server.most_base64:
        raise RefusedError("the images are larger than allowed")
    return pictures


def _in_messages(messages: list[dict[str, Any]]) -> list[str]:
    pictures = []
    for message in messages:
        if message.keys() != {"role", "content"}:
            raise RefusedError("messages.0.content: Extra inputs are not permitted")
        parts = [{"type": "text", "text": message["content"]}] if message["role"] == "system" else message["content"]
        for part in parts:
            if part.keys() == {"type", "image_url"} and part["image_url"].keys() == {"url"}:
                pictures.append(part["image_url"]["url"])
            elif part.keys() != {"type", "text"} or not isinstance(part["text"], str):
                raise RefusedError("messages.0.content.0: Extra inputs are not permitted")
    return pictures


def _in_prompt(body: dict[str, Any]) -> list[str]:
    prompt, pictures, marker = body["prompt"], body.get("images", []), "<image>"
    if isinstance(prompt, dict):
        data = prompt.get("multimodal_data", [])
        prompt, pictures, marker = prompt["prompt_string"], [f"data:image/jpeg;base64,{one}" for one in data], "<__med"
    if prompt.count(marker) != len(pictures):
        raise RefusedError("Failed to tokenize prompt")
    return list(pictures)


def _inline(server: Personality, address: str) -> str:
    kind, found, encoded = address.partition(";base64,")
    if not found or kind.removeprefix("data:image/") not in server.media.split():
        raise RefusedError("invalid image input")
    a2b_base64(encoded, strict_mode=True)
    return encoded


def _answered(
    server: Personality, request: Request, body: dict[str, Any], pictures: list[str], prompt: int, cached: int
) -> Reply:
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema") or body.get("json_schema")
    text = json.dumps(obey(schema, request.image_base64_sha256)) if schema else caption_of(request.image_base64_sha256)
    details, headers = server.tells(prompt, cached)
    usage = {"prompt_tokens": prompt, "completion_tokens": 20, "total_tokens": prompt + 20, **details}
    whole = {"id": request.request_id, "model": body["model"]}
    note = {"usage": usage, "content": text}
    if isinstance(body.get("prompt"), dict):
        native = {"content": text, "stop_type": "eos", "truncated": False, "model": body["model"]}
        counts = {"tokens_evaluated": prompt, "tokens_predicted": 20, "timings": {"cache_n": cached}}
        return Reply(body=json.dumps({**native, **counts}).encode(), note=note)
    if body.get("stream"):
        metrics = {"prompt-tokens": str(prompt), "cached-prompt-tokens": str(cached)}
        asked = bool(body.get("perf_metrics_in_response"))
        middle = len(text) // 2
        chunks = [
            *({"choices": [{"index": 0, "delta": {"content": part}}]} for part in (text[:middle], text[middle:])),
            {
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "usage": usage,
                **({"perf_metrics": metrics} if asked else {}),
            },
        ]
        events = "".join(f"data: {json.dumps({**whole, **chunk})}\n\n" for chunk in chunks)
        typed = (("content-type", "text/event-stream"),)
        return Reply(body=f"{events}data: [DONE]\n\n".encode(), headers=typed, note=note)
    chat = request.path.endswith("/chat/completions")
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    answer = {**whole, "choices": [{"index": 0, **said, "finish_reason": "stop"}], "usage": usage}
    return Reply(body=json.dumps(answer).encode(), headers=tuple(headers.items()), note=note)
