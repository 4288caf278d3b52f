"""How long a server asks to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.retry_after import retry_after

NOW = 1_795_339_515.0  # Sun, 22 Nov 2026 09:25:15 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:25:45 GMT"}, 30.0),
        ({"retry-after": "Sun Nov 22 09:25:45 2026"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:25:45 +0100"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2020 09:25:45 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2999 09:25:45 GMT"}, 3600.0),
        ({"retry-after": "86400"}, 3600.0),
        ({"llm_provider-retry-after": "60"}, 60.0),
        ({"retry-after": "?", "llm_provider-retry-after": "60"}, 60.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 09:25:45 GMT"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_waits(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_a_date_counts_from_now() -> None:
    assert retry_after({"retry-after": "Sun, 22 Nov 2020 09:25:45 GMT"}) == 0.0


@given(st.text())
def test_any_wait_is_within_an_hour_or_ignored(value: str) -> None:
    seconds = retry_after({"retry-after": value, "retry-after-ms": value}, NOW)
    assert seconds is None or 0 <= seconds <= 3600
