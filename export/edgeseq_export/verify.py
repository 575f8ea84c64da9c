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

__all__ = ["INT8_LIMIT", "difference", "probe_input", "torch_steps", "verify_file"]

FLOAT_LIMIT = 1e-4
"""Largest difference of float file and torch, relative to the tensor's largest value."""

INT8_LIMIT = 0.2
"""Largest RMS difference of int8 file and torch, relative to the tensor's RMS, free-running.

Free-running differences of a recurrence mix rounding with the model's own sensitivity; the task
metric decides about quality, this only catches a wrong graph, which is off by 1 and more.
"""


def verify_file(path: Path, checkpoint: Checkpoint) -> list[Proof]:
    """Compare a file with its checkpoint, every state tensor, over at least two windows.

    Two proofs: the float graph made from the checkpoint against torch, tight, since a swapped or
    stale state shows there; then the file's own graph, within what its quantization allows.
    """
    manifest = Session(path).manifest
    timing = manifest.timing
    steps = max(64, -(-(2 * (timing.left_context or 0) + 8) // timing.chunk))
    x = probe_input(manifest, steps)
    wanted_y, wanted_states = torch_steps(checkpoint, x)
    file_graph = onnx.load(path)
    proofs = []
    for what, graph, limit in (
        ("float graph against torch", export_graph(checkpoint.model, timing.chunk), FLOAT_LIMIT),
        (
            f"file ({manifest.quantization.scheme}) against torch",
            file_graph,
            INT8_LIMIT if manifest.quantization.scheme == "int8" else 10 * FLOAT_LIMIT,
        ),
    ):
        y, states = run_steps(graph, x, checkpoint.model.state_spec.zeros(1))
        pairs = [("y", y, wanted_y)]
        for name in checkpoint.model.state_spec.names:
            pairs.append(
                (
                    name,
                    np.stack([s[name] for s in states]),
                    np.stack([s[name] for s in wanted_states]),
                )
            )
        proofs.append(Proof(what, steps, tuple(difference(*pair, limit) for pair in pairs)))
    return proofs


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
    """How far `got` is from `wanted`: RMS against RMS for INT8_LIMIT, else greatest values."""
    gap = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    if limit == INT8_LIMIT:
        relative = np.sqrt(np.square(gap).mean()) / max(np.sqrt(np.square(wanted).mean()), 1e-3)
    else:
        relative = gap.max() / max(float(np.abs(wanted).max()), 1e-3)
    return Difference(name, float(gap.max()), float(relative), limit)
