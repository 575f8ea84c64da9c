"""What is minimised, per task, on the logits of a whole stretch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .tasks import NEGATIVE, SILENCE, UNKNOWN

__all__ = ["byte_loss", "keyword_loss", "smoothed_log_p", "vad_loss"]


SMOOTH_FRAMES = 4
"""Frames whose logits are averaged, a third of what the decoder averages.

A GRU that went on with the decoder's own 12 frames missed more words at the same false alarms (5.4
instead of 4.7 %): the longer mean is then no margin any more.
"""


def smoothed_log_p(logits: Tensor) -> Tensor:
    """Log-probabilities `[B, T, V]` of logits averaged over the newest frames."""
    past = functional.pad(logits.transpose(1, 2), (SMOOTH_FRAMES - 1, 0), mode="replicate")
    return functional.avg_pool1d(past, SMOOTH_FRAMES, 1).transpose(1, 2).log_softmax(dim=-1)


def keyword_loss(
    log_p: Tensor,
    target: Tensor,
    first: Tensor,
    answer: Tensor,
    early: Tensor,
    unjudged: Tensor,
) -> tuple[Tensor, Tensor]:
    """Loss and whether the answer is right, per row `[B]`.

    A keyword says nothing about the frame in which it is known, so the frame that speaks loudest
    for it counts (max-pooling loss, Sun et al. 2016), among those that end the word. In every other
    frame no keyword may be heard, and the worst such frame counts: a detector that runs all day
    fires on its worst frame, whatever it says in the next.

    Args:
        log_p: `smoothed_log_p` of the scores, `[B, T, V]`; label 0 is silence, 1 unknown.
        target: label of each row, or NEGATIVE: no keyword, be it silence or other speech.
        first: first frame of each row that counts; those before may answer what came earlier.
        answer: first frame in which the row's own label may be answered.
        early: end (exclusive) of the frames in which it must not be.
        unjudged: keywords `[B, V]` that the row may hold without our knowing.
    """
    at = torch.arange(log_p.shape[1])[None]
    counts = at >= first[:, None]
    known, keyword = target != NEGATIVE, target > UNKNOWN
    own = log_p.gather(2, target.clamp_min(0)[:, None, None].expand(*log_p.shape[:2], 1))[..., 0]
    harmless = unjudged | (torch.arange(log_p.shape[2]) <= UNKNOWN)
    no_word = log_p.masked_fill(~harmless[:, None], -torch.inf).logsumexp(dim=-1)
    late = keyword[:, None] & (at >= early[:, None])
    allowed = torch.where(late, torch.logaddexp(no_word, own), no_word)
    allowed = torch.where((target == SILENCE)[:, None], own, allowed)
    worst = (-allowed).masked_fill(~counts, 0.0).amax(dim=1)
    heard = counts & (at >= answer[:, None])
    best = own.masked_fill(~heard, -1e4).amax(dim=1)
    spoken = known & (target != SILENCE)
    half = math.log(2.0)
    right = (worst < half) & (~keyword | (best > -half))
    return worst + torch.where(spoken, -best, 0.0), right


def vad_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy per frame; logits `[B, T, 2]`, target `[B, T]`."""
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten())


def byte_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy per byte in nats; logits `[B, T, 256]`, target `[B, T]`."""
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten())
