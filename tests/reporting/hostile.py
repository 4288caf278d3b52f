"""Text of an enemy in every field that a page shows. Whatever of it runs sets `window.planted`."""

from __future__ import annotations

from itertools import cycle

from pipeline.evaluation.results import Change, Comparison, Evaluation, Figure, Moved, Sample

PAYLOADS = (
    "<script>planted = 1</script>",
    "</script><script>planted = 1; alert(1)</script>",
    '"><img src=x onerror="planted = 1">',
    "' onmouseover='planted = 1' autofocus onfocus='planted = 1",
    '" onmouseover="planted = 1" style="x:expression(1)',
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>* { background: url(http://192.0.2.1/x) }</style>",
    "javascript:planted=1//<svg onload=planted=1>",
    "]]><!--</textarea></title><iframe srcdoc='<script>parent.planted=1</script>'>",
    "\0<\0script>planted = 1</script>",
    "\ud800<img src=x onerror=planted=1>\udfff",
    "\u202egnp.exe\u2066<b>",
    "&lt;script&gt;planted = 1&lt;/script&gt;",
    "<base href=http://192.0.2.1/><meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
)


def hostile_evaluation() -> Evaluation:
    """A sample for each payload, answered and failed."""
    samples = []
    for number, payload in enumerate(PAYLOADS):
        task, key = f"task {payload}", f"{number} {payload}"
        fields = (task, "ocr", key, payload, payload, (payload,), (payload,))
        samples.append(Sample(*fields, answer=payload, reference=payload, scores={payload: 0.5}))
        samples.append(Sample(f"failing {task}", *fields[1:], failure=payload))
    figures = tuple(Figure(one, one, one, 3, 0.5, 0.4, 0.6) for one in PAYLOADS)
    return Evaluation(tuple(samples), figures, {one: {(one, "safe"): 2, ("safe", one): 1} for one in PAYLOADS})


def hostile_comparison(now: Evaluation) -> Comparison:
    """All of it moved."""
    payload = cycle(PAYLOADS)
    changes = tuple(Change(one, one, one, 3, 0.4, 0.5, 0.01, "worse") for one in PAYLOADS)
    moved = tuple(
        Moved(one, next(payload), None, next(payload), 0.1, 0.5, "worse", alarming=True, asked_differently=True)
        if one.answer is not None
        else Moved(one, None, next(payload), next(payload), None, None, "worse", alarming=True)
        for one in now.samples
    )
    pairs = tuple((one, one) for one in PAYLOADS)
    return Comparison(changes, moved, pairs, pairs, now.flips, PAYLOADS)
