"""Clip accuracy of a keyword model, from the torch model or from any other that gives logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..models import Chain
from .losses import keyword_evidence

__all__ = ["clip_logits", "predict"]

LEAD_SECONDS, TAIL_SECONDS = 0.2, 0.5


def clip_logits(
    model: Chain, clips: Sequence[npt.NDArray[np.float32]], group: int = 64
) -> list[npt.NDArray[np.float32]]:
    """Logits `[T, V]` of each clip, with silence before and after it."""
    timing = model.timing
    rate, hop = timing.sample_rate or 1, timing.hop
    lead, tail = round(LEAD_SECONDS * rate), round(TAIL_SECONDS * rate)
    order = np.argsort([len(c) for c in clips], kind="stable")
    logits: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(clips)
    with torch.inference_mode():
        for at in range(0, len(order), group):
            rows = order[at : at + group]
            frames = [-(-(lead + len(clips[i]) + tail) // hop) for i in rows]
            audio = torch.zeros(len(rows), max(frames) * hop)
            for row, i in enumerate(rows):
                audio[row, lead : lead + len(clips[i])] = torch.from_numpy(clips[i])
            y, _ = model(audio.reshape(len(rows), -1, hop), model.initial_state(len(rows)))
            for row, i in enumerate(rows):
                logits[i] = y[row, : frames[row]].numpy()
    return logits


def predict(logits: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """The label index that each clip speaks most clearly for."""
    best = [keyword_evidence(torch.from_numpy(y)[None]).argmax() for y in logits]
    return np.array(best, dtype=np.int64)
