"""How long a server asks to be left alone, read from the headers of its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 3600.0
"""A server that asks for more is taken to ask for this; the next refusal can ask again."""

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that the server asks to wait, 0 to 3,600; None when it does not say or says nonsense.

    Reads `retry-after-ms`, then `retry-after` in seconds or as an HTTP date (RFC 9110, 10.2.3) against `now` (Unix
    seconds), then the upstream's as LiteLLM 1.106 passes it on, `llm_provider-retry-after`.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(milliseconds):
        return min(float(milliseconds) / 1000, LONGEST_WAIT_S)
    for name in ("retry-after", "llm_provider-retry-after"):
        value = headers.get(name, "").strip()
        if _SECONDS.fullmatch(value):
            return min(float(value), LONGEST_WAIT_S)
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            continue
        # The old form without a zone is UTC as well.
        when = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        return min(max(when - (time.time() if now is None else now), 0.0), LONGEST_WAIT_S)
    return None
