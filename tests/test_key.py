"""Where the API key is: what is wrong there is told with the configuration's other mistakes, and no key is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import Provider
from pipeline.config_file import read_key
from pipeline.core.errors import ConfigError
from tests.test_config_file import MINIMAL, problems


def test_a_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " secret-1 \n")
    monkeypatch.setenv("DEFAULT_KEY", "secret-2")
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text("secret-3\n")
    assert read_key(Provider(dialect="vllm", api_key_env="MY_KEY"), "DEFAULT_KEY") == ("secret-1", [])
    assert read_key(Provider(dialect="vllm"), "DEFAULT_KEY") == ("secret-2", [])
    assert read_key(Provider(dialect="vllm", api_key_file=str(file)), "DEFAULT_KEY") == ("secret-3", [])
    assert read_key(Provider(dialect="vllm"), None) == (None, [])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text("secret")
    file.chmod(mode)
    key, found = read_key(Provider(dialect="vllm", api_key_file=str(file)), None)
    assert key is None
    assert found == [f"provider.api_key_file: others can read {file}. Run: chmod 600 {file}"]


@pytest.mark.parametrize("key", ["fw-1 fw-2", "fw-1\nfw-2", "fw-schl\u00fcssel", "\u201cfw-quoted\u201d", "fw\x07bell"])
def test_a_key_that_no_header_can_hold_is_told_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    file = tmp_path / "key"
    file.write_text(key + "\n", encoding="utf-8")
    file.chmod(0o600)
    why = "a space, a line end or another character in it that no server takes. Set it anew, in one word."
    for provider, where in (
        (Provider(dialect="vllm", api_key_env="MY_KEY"), "provider.api_key_env: the environment variable MY_KEY"),
        (Provider(dialect="vllm", api_key_file=str(file)), f"provider.api_key_file: {file}"),
    ):
        assert read_key(provider, None) == (None, [f"{where} has {why}"])


def test_a_key_that_is_not_there_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_KEY", " ")
    empty = tmp_path / "key"
    empty.touch(mode=0o600)
    for provider, expected in (
        (Provider(dialect="vllm", api_key_env="EMPTY_KEY"), "the environment variable EMPTY_KEY is not set"),
        (Provider(dialect="vllm", api_key_file=str(tmp_path / "gone")), "cannot read .*gone: No such file"),
        (Provider(dialect="vllm", api_key_file=str(empty)), "key is empty"),
    ):
        key, found = read_key(provider, None)
        assert key is None
        with pytest.raises(ConfigError, match=expected):
            raise ConfigError(found)


@pytest.mark.parametrize("secret", ["sk-abc123", "fw_3ZabCdEf"])
def test_a_key_in_the_wrong_place_is_not_echoed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.delenv(secret, raising=False)
    _, [problem] = read_key(Provider(dialect="vllm", api_key_env=secret), None)
    assert problem.startswith("provider.api_key_env: ")
    assert secret not in problem

    with_key = MINIMAL.replace('dialect = "vllm"', f'dialect = "vllm"\napi_key = "{secret}"')
    assert problems(tmp_path, with_key) == ["provider.api_key: there is no such key; did you mean 'api_key_env'?"]
    with_key = MINIMAL.replace('dialect = "vllm"', f'dialect = "vllm"\napi_key_env = ["{secret}"]')
    assert problems(tmp_path, with_key) == ["provider.api_key_env: input should be a valid string"]


def test_a_key_file_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    key, (told,) = read_key(Provider(dialect="openai", api_key_file="~nobody-of-this-name/key"), None)
    assert key is None
    assert told.startswith("provider.api_key_file: ~nobody-of-this-name/key")
