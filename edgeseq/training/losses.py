"""What is minimised, per task, on the logits of a whole stretch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .data import NEGATIVE

__all__ = ["byte_loss", "keyword_evidence", "keyword_loss", "vad_loss"]

SMOOTH_FRAMES = 4
"""Frames whose evidence is averaged, about the decoder's smoothing time."""


def keyword_evidence(
    logits: Tensor, first: Tensor | None = None, last: Tensor | None = None
) -> Tensor:
    """Greatest smoothed log-ratio of each label to silence over time: `[B, T, V]` to `[B, V]`.

    A keyword says nothing about where in the stretch it was spoken, so the loss looks at the frame
    that speaks loudest for each label (max-pooling loss, Sun et al. 2016). Silence is 0 by
    construction.

    Args:
        logits: scores per frame.
        first: first frame of each row `[B]` that counts; those before it may still hold the answer
            to what came earlier, or part of a word.
        last: end (exclusive) of the frames of each row `[B]` that count. A row in which none counts
            gives no evidence for anything but silence.
    """
    ratio = (logits - logits[..., :1]).transpose(1, 2)
    smooth = functional.avg_pool1d(functional.pad(ratio, (SMOOTH_FRAMES - 1, 0)), SMOOTH_FRAMES, 1)
    at = torch.arange(smooth.shape[-1])[None, None]
    if first is not None:
        smooth = smooth.masked_fill(at < first[:, None, None], -1e4)
    if last is not None:
        smooth = smooth.masked_fill(at >= last[:, None, None], -1e4)
    best = smooth.amax(dim=-1)
    return torch.cat([torch.zeros_like(best[:, :1]), best[:, 1:]], dim=1)


def keyword_loss(evidence: Tensor, target: Tensor) -> Tensor:
    """Cross entropy `[B]`; a NEGATIVE target accepts silence and unknown alike."""
    log_p = functional.log_softmax(evidence, dim=-1)
    known = functional.nll_loss(log_p, target.clamp_min(0), reduction="none")
    either = -torch.logsumexp(log_p[:, :2], dim=-1)
    return torch.where(target == NEGATIVE, either, known)


def vad_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy per frame; logits `[B, T, 2]`, target `[B, T]`."""
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten())


def byte_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy per byte in nats; logits `[B, T, 256]`, target `[B, T]`."""
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten())
