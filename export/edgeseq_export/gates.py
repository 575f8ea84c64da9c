"""What stops an export: a layer that cannot stream, and weights that are ruined by quantization."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgeseq.errors import ExportError
from edgeseq.models import Chain

from .graph import example_input

__all__ = ["MOST_MOVED", "check_scheme", "check_streaming", "moved"]

FRAMES = 48
TOLERANCE = 1e-3
"""Largest difference of cut and whole, relative to the greatest value: reordered sums are 1e-6."""

MOST_MOVED = 0.1
"""Share of the probability that quantized weights may move to other labels in the mean frame."""


@torch.no_grad()
def check_streaming(model: Chain, chunk: int = 1) -> None:
    """Refuse a model with a layer that gives a stream something else than a whole clip.

    A convolution padded on both sides, a norm over time, or bidirectional recurrence does, and no
    error shows it later (https://github.com/google-research/google-research/issues/1158).

    Args:
        model: what is to be exported.
        chunk: frames of one step; cuts are at its multiples.

    Raises:
        ExportError: names the layer and what differs.
    """
    was_training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        x = torch.cat([example_input(model, chunk) for _ in range(-(-FRAMES // chunk))], dim=1)
    try:
        for name, layer in model.named_layers():
            state = layer.initial_state(1)
            whole, last = layer(x, state)
            parts, at = [], 0
            for size in _cuts(x.shape[1], chunk):
                y, state = layer(x[:, at : at + size], state)
                parts.append(y)
                at += size
            compared = [("output", torch.cat(parts, dim=1), whole)]
            compared += [(f"state {key!r}", state[key], last[key]) for key in last]
            for what, cut, wanted in compared:
                if cut.shape != wanted.shape or _apart(cut, wanted) > TOLERANCE:
                    raise ExportError(
                        f"layer {name!r} ({type(layer).__name__}) cannot stream: its {what} is "
                        "another when a clip comes in pieces; every layer must be causal and keep "
                        "in its state what it needs of the past"
                    )
            x = whole
    finally:
        model.train(was_training)


def _cuts(frames: int, chunk: int) -> list[int]:
    """A long piece, a step, and the rest."""
    first = frames // chunk * 2 // 3 * chunk
    return [size for size in (first, chunk, frames - first - chunk) if size > 0]


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    if not a.numel():
        return 0.0
    gap = (a.double() - b.double()).abs().max()
    return float(gap / b.double().abs().max().clamp_min(1e-3))


def moved(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean total variation distance of the label probabilities of two logits `[..., V]`."""

    def probabilities(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))

    return float(0.5 * np.abs(probabilities(a) - probabilities(b)).sum(axis=-1).mean())


def check_scheme(full: npt.NDArray[Any], small: npt.NDArray[Any], scheme: str = "int8") -> None:
    """Refuse quantized weights that change what a model says.

    Args:
        full: logits `[..., V]` of the float graph over a stream of real input.
        small: those of the quantized graph, over the same.
        scheme: how it is quantized.

    Raises:
        ExportError: more than MOST_MOVED of the probability lies elsewhere in the mean frame.
    """
    share = moved(full, small)
    if share > MOST_MOVED:
        raise ExportError(
            f"{scheme} moves {share:.2f} of the probability to other labels in the mean frame, at "
            f"most {MOST_MOVED} is allowed: keep the weights in float, or train on (weights with "
            "few very large rows quantize badly)"
        )
