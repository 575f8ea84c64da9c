"""Proof that a file computes what the trained model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from edgeseq.manifest import Manifest
from edgeseq.runtime import Session
from edgeseq.runtime.proof import Difference, Proof
from edgeseq.spec import State
from edgeseq.training.checkpoint import Checkpoint

from .graph import export_graph
from .package import run_steps

__all__ = [
    "INT8_LIMIT", "difference", "probe_input", "torch_steps", "verify_file", "verify_graph",
]  # fmt: skip

FLOAT_LIMIT = 1e-4
"""Largest difference of float file and torch, relative to the tensor's largest value."""

HALF_LIMIT = 100 * FLOAT_LIMIT
"""The same where weights are float16: rounded by 2^-11 of themselves, hundreds in one sum."""

INT8_LIMIT = 0.2
"""Largest RMS difference of an integer file and torch, relative to the tensor's RMS, free-running.

Free-running differences of a recurrence mix rounding with the model's own sensitivity; the task
metric decides about quality, this only catches a wrong graph, which is off by 1 and more.
"""

FILE_LIMITS = {
    "none": 10 * FLOAT_LIMIT,
    "fp16": HALF_LIMIT,
    "int8": INT8_LIMIT,
    "int8-static": INT8_LIMIT,
    "int4": INT8_LIMIT,
    "mixed": INT8_LIMIT,
}


def verify_file(path: Path, checkpoint: Checkpoint) -> list[Proof]:
    """Compare a file with its checkpoint, every state tensor, over at least two windows.

    Two proofs: the float graph made from the checkpoint against torch, tight, since a swapped or
    stale state shows there; then the file's own graph, within what its quantization allows.
    """
    manifest = Session(path).manifest
    graph = export_graph(checkpoint.model, manifest.timing.chunk)
    what = "float graph against torch"
    return [
        _against_torch(what, graph, FLOAT_LIMIT, manifest, checkpoint),
        verify_graph(path, checkpoint),
    ]


def verify_graph(path: Path, checkpoint: Checkpoint) -> Proof:
    """Compare the graph in a file with its checkpoint, as `verify_file` does, and nothing else."""
    manifest = Session(path).manifest
    scheme = manifest.quantization.scheme
    what = f"file ({scheme}) against torch"
    return _against_torch(what, onnx.load(path), FILE_LIMITS[scheme], manifest, checkpoint)


def _against_torch(
    what: str, graph: onnx.ModelProto, limit: float, manifest: Manifest, checkpoint: Checkpoint
) -> Proof:
    timing = manifest.timing
    steps = max(64, -(-(2 * (timing.left_context or 0) + 8) // timing.chunk))
    x = probe_input(manifest, steps)
    wanted_y, wanted_states = torch_steps(checkpoint, x)
    y, states = run_steps(graph, x, checkpoint.model.state_spec.zeros(1))
    differences = [difference("y", y, wanted_y, limit)]
    for name in checkpoint.model.state_spec.names:
        got, wanted = (np.stack([s[name] for s in each]) for each in (states, wanted_states))
        differences.append(difference(name, got, wanted, limit))
    return Proof(what, steps, tuple(differences))


def probe_input(manifest: Manifest, steps: int) -> npt.NDArray[Any]:
    """Seeded input `[steps, 1, chunk, D]` that moves through loud, quiet and silent."""
    rng = np.random.default_rng(5)
    shape = (steps, *manifest.inputs[0].bound(1))
    if manifest.input == "bytes":
        text = np.frombuffer(b"And the evening and the morning were the first day. ", np.uint8)
        return np.resize(text, shape).astype(np.int64)
    level = np.repeat([0.1, 0.003, 0.0, 0.03], -(-steps // 4))[:steps]
    return np.asarray(rng.standard_normal(shape) * level.reshape(-1, 1, 1, 1), dtype=np.float32)


def torch_steps(
    checkpoint: Checkpoint, x: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], list[State]]:
    """What the trained model gives for `x` `[steps, 1, chunk, D]`: outputs and every state."""
    state = checkpoint.model.initial_state(1)
    outputs, states = [], []
    with torch.inference_mode():
        for step in x:
            y, state = checkpoint.model(torch.from_numpy(step), state)
            outputs.append(y.numpy())
            states.append({name: value.numpy() for name, value in state.items()})
    return np.concatenate(outputs, axis=1), states


def difference(
    name: str, got: npt.NDArray[Any], wanted: npt.NDArray[Any], limit: float
) -> Difference:
    """How far `got` is from `wanted`: RMS against RMS for integers, else greatest values."""
    gap = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    if limit >= INT8_LIMIT:
        relative = np.sqrt(np.square(gap).mean()) / max(np.sqrt(np.square(wanted).mean()), 1e-3)
    else:
        relative = gap.max() / max(float(np.abs(wanted).max()), 1e-3)
    return Difference(name, float(gap.max()), float(relative), limit)
