"""Whether what only some commands need is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from pipeline.core.errors import ConfigError

_JUDGING: Final = ("jinja2", "jiwer", "numpy", "sacrebleu")


def need_judging() -> None:
    """Raises ConfigError when the extra `regress` is not installed, before anything heavy is imported or asked."""
    if missing := [name for name in _JUDGING if find_spec(name) is None]:
        raise ConfigError(
            [f"A regression needs {', '.join(missing)}, not installed here. Run: pip install 'vlm-batch[regress]'"]
        )
