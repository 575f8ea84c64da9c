"""What a keyword model answers for a clip of one word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..decoding import KeywordDecoding
from ..runtime import Session

__all__ = [
    "CLIP_THRESHOLD", "LEAD_SECONDS", "TAIL_SECONDS", "clip_label", "logits_of", "scores_of",
    "smooth_frames",
]  # fmt: skip

LEAD_SECONDS, TAIL_SECONDS = 0.2, 0.5
"""Silence around a clip: the model starts fresh, and the decoder answers late."""

CLIP_THRESHOLD = 0.1
"""Least score of a keyword in a clip of one word; see benchmarks/keywords.py --choose-clips."""

Numbers = npt.NDArray[np.float32]


def logits_of(session: Session, samples: Numbers, lead: float = LEAD_SECONDS) -> Numbers:
    """Logits `[T, V]` of a recording as one stream, with silence before and after."""
    timing = session.manifest.timing
    rate, size = timing.sample_rate or 0, timing.step_samples
    begin = round(lead * rate)
    padded = np.zeros(begin + len(samples) + round(TAIL_SECONDS * rate), np.float32)
    padded[begin : begin + len(samples)] = samples
    steps = padded[: len(padded) // size * size].reshape(-1, 1, timing.chunk, timing.hop)
    stepper = session.stepper()
    return np.concatenate([stepper.step(x)[0].copy() for x in steps])


def scores_of(logits: Numbers, frames: int) -> Numbers:
    """The decoder's scores `[T, V]` of logits `[T, V]`, averaged over the newest `frames`.

    Before the first frame the logits count as 0.
    """
    before = np.zeros((frames, logits.shape[1]))
    total = np.cumsum(np.concatenate([before, logits], dtype=np.float64), axis=0)
    mean = (total[frames:] - total[:-frames]) / frames
    mean = np.exp(mean - mean.max(axis=1, keepdims=True))
    return np.asarray(mean / mean.sum(axis=1, keepdims=True), np.float32)


def clip_label(best: Numbers, limit: float = CLIP_THRESHOLD) -> int:
    """The label of a clip by the best score `[V]` of each: a keyword, or else unknown or silence.

    A clip of one word is another question than a stream, where all hours of other speech speak
    against a keyword.
    """
    keyword = 2 + int(best[2:].argmax())
    if best[keyword] >= limit:
        return keyword
    return int(best[1] >= 0.5)


def smooth_frames(session: Session) -> int:
    """Frames that the model's decoder averages."""
    decoding = session.manifest.decoding
    assert isinstance(decoding, KeywordDecoding)
    return max(1, session.manifest.timing.frames(decoding.smoothing_s))
