"""Requests as a client would send them, for tests of servers: bodies as plain values, and a raw socket."""

import base64
import json
import socket
from typing import Any


def chat_body(
    image: bytes | None = None, prompt: str = "Describe it.", model: str = "fake/vlm", **more: Any
) -> dict[str, Any]:
    """A chat request with at most one picture, inline; `more` are further members (`max_tokens`, `response_format`)."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
    if image is not None:
        uri = f"data:{_mime(image)};base64,{base64.b64encode(image).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": uri}})
    return {"model": model, "messages": [{"role": "user", "content": parts}], **more}


def raw_post(body: dict[str, Any], path: str = "/v1/chat/completions") -> bytes:
    """The bytes of a POST with a content-length."""
    payload = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(payload), payload)


def read_reply(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of one reply with a content-length; the body may be short at the end."""
    received = b""
    while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return int(first.split()[1]), headers, body


def _mime(image: bytes) -> str:
    if image.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if image[8:12] == b"WEBP" else "image/jpeg"
