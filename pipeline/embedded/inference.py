"""Opens ONNX models the same way everywhere: on the processor, quiet, and sized for the cores that are there."""

import os
from pathlib import Path
from typing import Any

import onnxruntime

AT_ONCE = 2
"""Pictures looked at in the same moment; more would only queue for the same cores and hold more decoded pixels."""


def threads() -> int:
    """Threads that one inference uses, so that `AT_ONCE` of them fill the cores this process may use."""
    return max(1, len(os.sched_getaffinity(0)) // AT_ONCE)


def open_session(model: Path | bytes) -> Any:
    """An onnxruntime session over a model file or a serialised graph; safe to call from several threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
