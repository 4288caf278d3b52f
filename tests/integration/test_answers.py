"""What a server says reaches the tables as what it is: answers, refusals, repairs and failures, and what they cost."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pybase64
import pytest

from tests.integration.command import Job
from tests.support import scripts
from tests.support.exchange import Script, Usage
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

NewJob = Callable[..., Job]
LABELS = ("sexual", "violence", "violence/graphic", "self-harm")
PRICED = "accounts/fireworks/models/llama-v3p2-11b-vision-instruct"  # USD 0.20 a million tokens, in and out


def sha(seed: int) -> str:
    return hashlib.sha256(picture(seed)).hexdigest()


def judged(*labels: str, score: float = 0.9) -> Script:
    """An answer to `moderate`: unsafe with these labels, safe without any."""
    scores = {label: score if label in labels else 0.01 for label in LABELS}
    verdict = "unsafe" if labels else "safe"
    return scripts.json_answer({"verdict": verdict, "labels": list(labels), "scores": scores, "reason": "Seen."})


UNSAFE: dict[int, tuple[str, ...]] = {
    2: ("sexual",),
    5: ("violence",),
    11: ("violence", "violence/graphic"),
    13: ("self-harm",),
    19: ("sexual", "violence"),
}


def test_moderation_names_exactly_the_unsafe_and_never_calls_a_refusal_safe(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(20, tasks=[{"kind": "moderate"}])
    odd = {
        sha(7): scripts.refusal("I cannot look at this."),
        sha(8): scripts.content_filter('{"verdict": "safe", "labels'),
    }
    unsafe = {sha(seed): judged(*labels) for seed, labels in UNSAFE.items()}
    fake_server.script = scripts.by_picture({**odd, **unsafe}, judged())
    ended = job.run()
    assert ended.code == 3
    assert "10.0% of the rows that reached the model failed; run.max_failure_share allows 2.0%" in ended.stdout
    assert not (job.out / "_SUCCESS").exists()

    rows = {int(row["key"][:5]): row for row in job.rows("moderate")}
    assert {seed: tuple(row["labels"]) for seed, row in rows.items() if row["verdict"] == "unsafe"} == UNSAFE
    assert {seed for seed, row in rows.items() if row["verdict"] == "safe"} == set(range(20)) - set(UNSAFE) - {7, 8}
    for seed, row in rows.items():
        told = {label: row["score_" + label.replace("/", "_").replace("-", "_")] for label in LABELS}
        assert told == {label: 0.9 if label in UNSAFE.get(seed, ()) else 0.01 for label in LABELS}
        assert row["reason"] == "Seen."
    failures = {row["key"]: row for row in job.failures("moderate")}
    assert {key: (row["kind"], row["raw_text"]) for key, row in failures.items()} == {
        "00007.jpg": ("refusal", "I cannot look at this."),
        "00008.jpg": ("content_filter", '{"verdict": "safe", "labels'),
    }
    assert fake_server.total == 20  # neither is asked again

    allowed = job.run("--set", "run.max_failure_share=0.1")
    assert (allowed.code, fake_server.total) == (0, 20)
    assert "Nothing to do: no call was made. 2 have no answer" in allowed.stdout
    assert (job.out / "_SUCCESS").exists()


def test_an_unusable_answer_is_asked_once_more_with_more_room(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3, provider={"model": PRICED, "seed": 7}, tasks=[{"kind": "caption", "max_tokens": 50}])
    usage = Usage(prompt=100, completion=50, cached=0)
    fake_server.script = scripts.by_picture(
        {sha(1): scripts.sequence(scripts.cut_by_length("A cat and", usage), scripts.text("A cat and a dog.", usage))},
        scripts.text("A cat.", usage),
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [(row["caption"], row["attempts"]) for row in job.rows()] == [
        ("A cat.", 1),
        ("A cat and a dog.", 2),
        ("A cat.", 1),
    ]
    once = 150 * 0.20 / 1e6
    assert [row["cost_usd"] for row in job.rows()] == pytest.approx([once, 2 * once, once])
    asked = [request for request in fake_server.requests if request.image_sha256 == sha(1)]
    assert [(request.field("max_tokens"), request.field("seed")) for request in asked] == [(50, 7), (100, 8)]
    assert "$0.0001" in ended.stdout  # four answers


@pytest.mark.parametrize("repairs", [1, 0])
def test_an_answer_that_stays_unusable_is_kept_as_what_it_is(
    new_job: NewJob, fake_server: FakeServer, repairs: int
) -> None:
    job = new_job(
        4,
        tasks=[{"kind": "moderate"}],
        retry={"repairs": repairs},
        run_={"max_failure_share": 1},
        provider={"model": PRICED},
    )
    usage = Usage(prompt=100, completion=50, cached=0)
    fake_server.script = scripts.by_picture(
        {
            sha(1): scripts.text("It is safe, I think.", usage),
            sha(2): scripts.json_answer({"verdict": "safe"}, usage),
            sha(3): scripts.text("  ", usage),
            "": scripts.text("Still safe.", usage),
        },
        judged(),
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    asked = Counter(request.image_sha256 for request in fake_server.requests)
    # What has a text is sent back without its picture.
    assert asked == Counter({sha(0): 1, sha(1): 1, sha(2): 1, sha(3): 1 + repairs, "": 2 * repairs})
    first = [("invalid_json", "It is safe, I think."), ("schema_mismatch", '{"verdict": "safe"}')]
    ended_with = [("invalid_json", "Still safe.")] * 2 if repairs else first
    assert [(row["kind"], row["raw_text"], row["attempts"]) for row in job.failures("moderate")] == [
        (kind, text, 1 + repairs) for kind, text in [*ended_with, ("empty", "  ")]
    ]
    for row in job.failures("moderate"):
        assert row["cost_usd"] == pytest.approx((1 + repairs) * 150 * 0.20 / 1e6)
        assert (row["stage"], row["retryable"], row["finish_reason"]) == ("parse", False, "stop")
    assert job.run().code == 0
    assert fake_server.total == asked.total()


def commonprefix(bodies: list[bytes]) -> bytes:
    """The longest beginning that all of them have."""
    first, last = min(bodies), max(bodies)
    differs = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differs, len(first))]


def test_tasks_share_a_run_and_the_fixed_part_comes_first(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(
        12,
        provider={"temperature": 0.25},
        tasks=[
            {"kind": "caption", "context": ["title", "alt"]},
            {"kind": "ocr", "model": "fake/ocr"},
            {"kind": "moderate"},
        ],
    )
    fake_server.script = scripts.by_marker({'"json_schema"': judged()})
    titles: list[Any] = ["A <b>bold</b> & odd\ntitle", None, "7", *(f"title {number}" for number in range(9))]
    lines = [{"image": f"{at:05d}.jpg", "title": title, "alt": "same"} for at, title in enumerate(titles)]
    job.manifest = job.folder / "pictures" / "listing.jsonl"
    job.manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [len(job.rows(task)) for task in ("caption", "ocr", "moderate")] == [12, 12, 12]
    assert {row["model"] for row in job.rows("ocr")} == {"fake/ocr"}

    asked: dict[str, list[bytes]] = {}
    for request in fake_server.requests:
        task = "ocr" if request.model == "fake/ocr" else "moderate" if request.has('"json_schema"') else "caption"
        asked.setdefault(task, []).append(request.body)
        assert request.field("temperature") == 0.25
    assert {task: len(bodies) for task, bodies in asked.items()} == {"caption": 12, "ocr": 12, "moderate": 12}
    for bodies in asked.values():
        shared = commonprefix(bodies)
        first = json.loads(bodies[0])["messages"]
        for message in (first[0]["content"], first[1]["content"][0]["text"]):
            assert json.dumps(message, ensure_ascii=False).encode() in shared

    quoted = {}
    for body in asked["caption"]:
        _, context, sent = json.loads(body)["messages"][1]["content"]
        head, _, payload = sent["image_url"]["url"].partition(";base64,")
        assert head == "data:image/jpeg"
        at = next(seed for seed in range(12) if picture(seed) == pybase64.b64decode(payload))
        quoted[at] = context["text"]
    for at, title in enumerate(titles):
        assert quoted[at].startswith("<context>")
        assert quoted[at].endswith("</context>")
        inside = quoted[at].removeprefix("<context>").removesuffix("</context>")
        assert "<" not in inside
        assert json.loads(inside) == ({"title": title, "alt": "same"} if title is not None else {"alt": "same"})


def test_a_retry_sends_the_same_bytes(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(1)
    fake_server.script = scripts.sequence(scripts.rate_limited(0.1), scripts.error(503), scripts.caption())
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len({request.body for request in fake_server.requests}) == 1
    assert fake_server.total == 3
    (row,) = job.rows()
    assert row["attempts"] == 2  # the refusal by quota costs no attempt
    assert "3 requests in" in ended.stdout


def test_sixty_refusals_by_quota_fail_nothing(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(64, limits={"concurrency": 64})
    # All are sent before the first refusal comes back.
    refused = scripts.delayed(scripts.rate_limited(0), 1.5)
    fake_server.script = scripts.fail_first(60, refused)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert (len(job.rows()), job.failures(), fake_server.total) == (64, [], 124)
    assert {row["attempts"] for row in job.rows()} == {1}


@pytest.mark.parametrize("refused", ["UnsupportedParamsError: frequency_penalty", "6000 tokens must have stream=true"])
def test_a_repair_whose_fields_are_refused_does_not_end_the_run(
    new_job: NewJob, fake_server: FakeServer, refused: str
) -> None:
    """The server takes the questions; what a repair changes about its question it refuses."""
    looping = "frequency" in refused
    unusable = scripts.text("The same again. " * 200) if looping else scripts.cut_by_length("A cat and")
    mark = '"frequency_penalty"' if looping else '"max_tokens":6000'
    job = new_job(
        30,
        provider={"dialect": "litellm"},
        tasks=[{"kind": "caption", "max_tokens": 3000}],
        run_={"max_failure_share": 0.1},
    )
    answers = scripts.by_picture({sha(3): unusable})
    fake_server.script = scripts.by_marker({mark: scripts.error(400, f"litellm.{refused}")}, answers)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len(job.rows()) == 29
    (failure,) = job.failures()
    assert (failure["kind"], failure["attempts"]) == ("repetition" if looping else "cut", 2)
    assert fake_server.total == 31
    assert job.run().code == 0
    assert fake_server.total == 31
