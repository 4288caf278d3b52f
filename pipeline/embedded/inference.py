"""Opens ONNX models the same way everywhere: on the processor, quiet, and sized for the cores that are there."""

import os
import sys
from pathlib import Path
from typing import Any

import onnxruntime

AT_ONCE = 2
"""Pictures looked at in the same moment; more would only queue for the same cores and hold more decoded pixels."""


def threads() -> int:
    """Threads that one inference uses, so that `AT_ONCE` of them fill the cores this process may use.

    Two pictures on one thread each take two thirds of the time of two pictures on two threads each (measured on two
    cores, 2026-11-23).
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // AT_ONCE)


def open_session(model: Path | bytes) -> Any:
    """An onnxruntime session over a model file or a serialised graph; safe to call from several threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
