"""The house keeps its own rules: floors, imports, sizes, names, and documents that tell the truth."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PRODUCT = sorted((ROOT / "pipeline").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
FORBIDDEN_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils", "common", "misc", "impl"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_imports_go_downwards() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_files_stay_small() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in (*PRODUCT, *TESTS, *BENCH) if (lines := _lines(path)) > 320}
    assert not long, f"a file that wants more wants two names: {long}"


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_names_say_what_things_are() -> None:
    bad = []
    for path in PRODUCT:
        names = {path.stem} | {
            node.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        for name in names:
            words = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))
            if words & FORBIDDEN_WORDS or name.startswith(("do_", "process_")):
                bad.append(f"{path.relative_to(ROOT)}: {name}")
    assert not bad


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in PRODUCT if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent


def test_every_lint_exception_has_its_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PRODUCT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"#\s*(noqa|type:\s*ignore)", line) and not re.search(r"(noqa|ignore)[^#(\-]*(-|\(|#)\s*\S+", line)
    ]
    assert not bare


def test_only_the_command_line_and_the_progress_print() -> None:
    printing = {
        str(path.relative_to(ROOT / "pipeline"))
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing <= {"cli.py", "terminal.py", "reporting/progress.py"}


def test_the_architecture_page_knows_every_room_and_file() -> None:
    rooms = {path.parent.name for path in PRODUCT if path.parent.name != "pipeline"}
    assert {room for room in rooms if f"`{room}/`" not in ARCHITECTURE} == set()
    ours = [path for path in PRODUCT if path.parent.name != "embedded" and not path.name.startswith("__")]
    missing = [path.name for path in ours if path.name not in ARCHITECTURE and f"`{path.stem}`" not in ARCHITECTURE]
    assert not [name for name in missing if name not in {"definition.py", "unit.py"}], missing


def test_every_command_and_option_is_documented() -> None:
    import typer

    from pipeline.cli import app

    command = typer.main.get_command(app)
    for verb, sub in command.commands.items():  # type: ignore[attr-defined]
        assert f"vlm-batch {verb}" in README
        for parameter in sub.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option in README, f"{verb} {option} is not in the README"


def test_every_setting_is_documented() -> None:
    from pipeline.config import Config, Section

    for name, field in Config.model_fields.items():
        section = field.annotation
        if name == "tasks":
            from pipeline.config import Task as section  # type: ignore[no-redef] # noqa: N813
        assert isinstance(section, type)
        assert issubclass(section, Section)
        for key in (field.alias or name for name, field in section.model_fields.items()):
            assert re.search(rf"^#? ?{key} = ", README, re.MULTILINE), f"{name}.{key} is not in the README"


def test_every_column_failure_kind_exit_code_and_target_is_documented() -> None:
    from pipeline.core.errors import KINDS
    from pipeline.ledger.schema import task_schema
    from pipeline.tasks import TASKS, TaskOptions

    for build in TASKS.values():
        definition = build(TaskOptions())
        schema = task_schema(definition.columns, [])
        for name in {*schema.data.names, *schema.failures.names}:
            documented = "score_<label>" if name.startswith("score_") else name
            assert f"`{documented}`" in README, f"column {name} is not in the README"
    for kind in KINDS:
        assert f"`{kind}`" in README, f"failure kind {kind} is not in the README"
    for code in ("0", "1", "2", "3", "5", "75"):
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE)
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    helped = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in targets:
        assert f"make {target}" in helped
        assert f"make {target}" in README


def test_every_dialect_and_configuration_is_valid_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.checks import read_config
    from pipeline.providers.dialects import DIALECTS

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FIREWORKS_API_KEY", "test")
    for name in DIALECTS:
        assert f"`{name}`" in README
    for path in sorted((ROOT / "configs").glob("*.toml")):
        read_config(path, [])
        assert f"configs/{path.name}" in README


def test_examples_in_the_readme_are_valid_toml() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        tomllib.loads(block)


def test_nothing_names_a_machine_or_a_registry() -> None:
    hosts = "|".join(
        ["py" + r"pi\.org", "python" + r"hosted", "deb" + r"ian\.org", "npm" + r"js\.", "/work" + "/(main|shared)"]
    )
    named = []
    for path in tracked():
        if path.suffix in {".jpg", ".png", ".gif", ".webp", ".bmp", ".tif", ".onnx", ".parquet"}:
            continue
        if match := re.search(hosts, path.read_text(encoding="utf-8", errors="replace")):
            named.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert not named
