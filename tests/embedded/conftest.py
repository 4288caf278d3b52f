"""A real embedded server as a child process, and the sample pictures with what is true of them."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def load_labels() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text("utf-8").splitlines()]


def data_uri(raw: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(raw).decode()


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def show(line: str = "") -> None:
    """A line of a table of measured figures, seen with `pytest -s` and beside a failure."""
    sys.stdout.write(line + "\n")


class Server:
    """The child process and the questions that tests put to it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.embedded", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": ""},  # no home to keep or fetch models in
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        self.base_url = json.loads(self.first_line)["base_url"]
        self.http = httpx.Client(timeout=120, trust_env=False)

    def post(self, body: object) -> httpx.Response:
        return self.http.post(f"{self.base_url}/chat/completions", json=body)

    def request(self, model: str, raw: bytes, **extra: object) -> dict[str, Any]:
        parts = [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": data_uri(raw)}},
        ]
        return {"model": model, "messages": [{"role": "user", "content": parts}], **extra}

    def ask(self, model: str, raw: bytes, **extra: object) -> str:
        response = self.post(self.request(model, raw, **extra))
        assert response.status_code == 200, response.text
        content = response.json()["choices"][0]["message"]["content"]
        assert isinstance(content, str)
        return content

    def end(self) -> int:
        self.http.close()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    server = Server("--parent-stdin")
    yield server
    server.end()


@pytest.fixture(scope="session")
def labels() -> list[dict[str, Any]]:
    return load_labels()


@pytest.fixture(scope="session")
def photos(labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = [label for label in labels if label["category"] in ("photo", "person")]
    assert len(chosen) == 10
    return chosen
