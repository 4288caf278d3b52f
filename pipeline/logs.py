"""How events become lines on stderr: JSON for a machine, readable for a person at a terminal."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(*, for_machine: bool, verbose: bool) -> None:
    """Configure structlog for this process. `verbose` adds one event a retry and a failed row."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if for_machine else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if for_machine else "%H:%M:%S", utc=for_machine),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
