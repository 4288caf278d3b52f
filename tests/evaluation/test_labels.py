from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.evaluation.labels import Label, labels_by_key, read_labels
from tests.evaluation.scripted import SAMPLES


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), "utf-8")
    return path


def test_the_sample_set_is_read() -> None:
    labels = {label.id: label for label in SAMPLES}
    assert len(labels) == 33
    assert labels["photo-cat"].subjects == (("cat", "tabby", "animal"),)
    assert labels["syn-hebrew-arabic"].languages == ("he", "ar")
    assert labels["chart-gnuplot-curve"].text is None
    assert {label.verdict for label in SAMPLES} == {"safe"}


def test_every_mistake_is_told_at_once_with_its_line_and_field(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"id": "a", "text": 3, "tags": "ocr", "lang": ["de", 1]},
        "{broken",
        [1],
        {"file": "x.png"},
        {"id": "a", "moderation": {"label": "harmless"}, "subjects": [["cat", ""]], "answers": {"ask": None}},
        {"id": "b", "moderation": "safe", "answers": [], "subjects": "cat", "unknown": {"fine": True}},
    )
    with pytest.raises(ConfigError) as told:
        read_labels(path)
    expected = [
        ("line 1", "text"), ("line 1", "tags"), ("line 1", "lang"), ("line 2", "not JSON"), ("line 3", "object"),
        ("line 4", "id"), ("line 5", "moderation.label"), ("line 5", "subjects"), ("line 5", "answers.ask"),
        ("line 5", "'a' stands on line 1"), ("line 6", "moderation"), ("line 6", "answers"), ("line 6", "subjects"),
    ]  # fmt: skip
    for line, field in expected:
        assert any(line in problem and field in problem for problem in told.value.problems), (line, field)
    assert len(told.value.problems) == len(expected)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"\n \n"])
def test_labels_that_cannot_be_read_are_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "labels.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"labels\.jsonl"):
        read_labels(path)


def test_a_label_finds_its_row_by_id_file_or_the_end_of_its_file() -> None:
    cat, dog, pup = Label("cat", "images/cat.jpg"), Label("dog", "images/a/dog.jpg"), Label("pup", "images/b/dog.jpg")
    found = labels_by_key([cat, dog, pup], ["cat", "cat.jpg", "images/cat.jpg", "a/dog.jpg", "dog.jpg", "at.jpg", "x"])
    assert found == {"cat": cat, "cat.jpg": cat, "images/cat.jpg": cat, "a/dog.jpg": dog}


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x1c"])
def test_a_line_ends_where_json_lines_end_and_nowhere_else(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "labels.jsonl"
    if mark == "\x1c":
        mark = "\\u001c"
    path.write_bytes(f'\ufeff{{"id": "a", "text": "one{mark}two"}}\r\n{{"id": "b"}}\r\n'.encode())
    assert [label.id for label in read_labels(path)] == ["a", "b"]


@pytest.mark.parametrize("levels", [150, 1500, 100_000])
def test_a_label_nested_too_deeply_is_a_sentence(tmp_path: Path, levels: int) -> None:
    path = written(tmp_path, '{"id": "a", "answers": {"ask": {"x": ' + "[" * levels + "]" * levels + "}}}")
    with pytest.raises(ConfigError, match="line 1: this is nested too deeply"):
        read_labels(path)


def test_a_number_as_id_is_told_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='write "7"'):
        read_labels(written(tmp_path, {"id": 7}))


def test_two_labels_of_one_picture_are_told_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read_labels(
            written(
                tmp_path,
                {"id": "a", "file": "x.jpg"},
                {"id": "b", "file": "x.jpg"},
                {"id": "x.jpg"},
                {"id": "c.jpg", "file": "c.jpg"},
            )
        )
    assert [problem.partition("labels.jsonl, ")[2] for problem in told.value.problems] == [
        "line 2: the file 'x.jpg' stands on line 1 already, as its file; a picture has one label.",
        "line 3: the id 'x.jpg' stands on line 1 already, as its file; a picture has one label.",
    ]
