"""Opening an output: in which order its files change."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import opening
from pipeline.checks import read_config
from pipeline.core.errors import ConfigError
from pipeline.core.outcomes import Envelope, Failure, Move, Problem
from pipeline.core.types import Facts, RowId
from pipeline.ledger.output import Output
from pipeline.manifests.listing import Listing
from pipeline.storage.http import AiohttpTransport
from tests.support.pictures import write_pictures

CONFIG = """
[run]
output = "out"
[manifest]
path = "pictures"
[provider]
dialect = "vllm"
model = "m"
[[tasks]]
kind = "caption"
"""


def test_success_is_gone_before_the_plan_says_that_there_is_more_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures", 2)
    (tmp_path / "config.toml").write_text(CONFIG)
    config, output = read_config(tmp_path / "config.toml", []), Output(Path("out"))
    opening.open_output(config, output, "run-1", AiohttpTransport()).ledger.close()
    output.success.write_text("{}")
    opening.open_output(config, output, "run-2", AiohttpTransport()).ledger.close()
    assert output.success.exists(), "nothing is new: nobody may touch it"

    write_pictures(tmp_path / "pictures", 3)
    stood: list[bool] = []

    def killed(*_: object, **__: object) -> None:
        stood.append(output.success.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "grow_plan", killed)
    with pytest.raises(KeyboardInterrupt):
        opening.open_output(config, output, "run-3", AiohttpTransport())
    assert stood == [False]


def test_a_manifest_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures", 2)
    listing = tmp_path / "pictures.csv"
    listing.write_text("image\n" + "".join(f"pictures/{path.name}\n" for path in (tmp_path / "pictures").iterdir()))
    (tmp_path / "config.toml").write_text(CONFIG.replace('"pictures"', '"pictures.csv"'))
    config, output = read_config(tmp_path / "config.toml", []), Output(Path("out"))
    opening.open_output(config, output, "run-1", AiohttpTransport()).ledger.close()
    looks = list[str]()
    rows, fingerprint = Listing.rows, Listing.fingerprint
    monkeypatch.setattr(Listing, "rows", lambda unit: looks.append("rows") or rows(unit))
    monkeypatch.setattr(Listing, "fingerprint", lambda unit: looks.append("stat") or fingerprint(unit))
    opening.open_output(config, output, "run-2", AiohttpTransport()).ledger.close()
    assert looks == ["stat"], "to find one row may mean to read a whole file, and each look at a store is a request"
    listing.write_text("image\n")
    with pytest.raises(ConfigError, match=r"no picture is found in pictures\.csv"):
        opening.open_output(config, output, "run-3", AiohttpTransport())


def test_what_a_failure_cost_moves_with_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures", 2)
    (tmp_path / "config.toml").write_text(CONFIG)
    config, output = read_config(tmp_path / "config.toml", []), Output(Path("out"))
    opened = opening.open_output(config, output, "run-1", AiohttpTransport())
    row, facts = RowId("caption", 1, 1), Facts("b", "b", "m")
    opened.ledger.add(Failure(row, facts, Problem("timeout", "slow"), Envelope("run-1", 1.0, 3, cost_usd=0.5), True))
    opened.ledger.commit(everything=True)
    opened.ledger.close()

    write_pictures(tmp_path / "pictures", 3)
    opened = opening.open_output(config, output, "run-2", AiohttpTransport())
    opened.ledger.close()
    assert opened.source.plan.moved == [Move("caption", 1, 1, 2, 1, 3, 0, 0.5)]
