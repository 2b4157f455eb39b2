"""ONNX Runtime sessions as a server of one core wants them: one thread, little memory kept, nothing reported."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime

# What ORT's Python binding calls each tensor, and numpy's word for it.
NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


def open_session(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of a serialized ModelProto, on the CPU.

    Each server process has a core of its own, so one thread computes, unless SCORING_ONNX_THREADS says otherwise.
    The arena and the memory patterns are off: they keep the largest batch's memory for good and gain nothing for
    small models. Raises what ORT raises for a graph that it cannot run.
    """
    onnxruntime.set_default_logger_severity(3)  # errors: a shut-in process cannot look for graphics cards
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, int(os.environ.get("SCORING_ONNX_THREADS") or 1))
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # Threads that spin between two requests would burn the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
