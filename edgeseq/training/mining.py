"""Finds where a model hears keywords in recordings that hold none, so that it can unlearn them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..models import Chain
from .corpora import ClipStore
from .losses import smoothed_log_p
from .tasks import UNKNOWN

__all__ = ["HardStretches", "find_hard"]

ROWS = 64
FAINTEST = 0.05
"""Stretches in which no keyword gets more of the probability than this teach nothing new."""


@dataclass(frozen=True, slots=True)
class HardStretches:
    """Stretches of recordings without keywords in which a model hears one.

    Attributes:
        clip: index of each stretch's recording in the store.
        start: its first sample.
        share: chance of being chosen, the probability that the model gave to a keyword, of the sum.
    """

    clip: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.clip)

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Recording and first sample of one of them."""
        row = rng.choice(len(self.clip), p=self.share)
        return int(self.clip[row]), int(self.start[row])


def _places(store: ClipStore, clips: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Overlapping stretches that cover each recording, the last one ending with it."""
    for clip in clips:
        last = max(0, store.length(clip) - length)
        for start in range(0, last, length // 2):
            yield clip, start
        yield clip, last


@torch.no_grad()
def find_hard(
    model: Chain,
    store: ClipStore,
    clips: list[int],
    length: int,
    hop: int,
    unjudged: Callable[[int], npt.NDArray[np.bool_]],
) -> HardStretches:
    """Listen to every stretch of `length` samples and keep those where a keyword is heard.

    Args:
        model: a keyword model; its labels are silence, unknown, and the keywords.
        store: the recordings.
        clips: which of them to listen to, none with a keyword.
        length: samples of a stretch, whole frames.
        hop: samples of a frame.
        unjudged: labels `[V]` that a recording may hold, which are passed over there.
    """
    was_training = model.training
    model.eval()
    places = list(_places(store, clips, length))
    heard = np.zeros(len(places))
    for first in range(0, len(places), ROWS):
        rows = places[first : first + ROWS]
        audio = np.zeros((len(rows), length), np.float32)
        for row, (clip, start) in zip(audio, rows, strict=True):
            part = store.read(clip, start, length)
            row[: len(part)] = part
        frames = torch.from_numpy(audio).reshape(len(rows), -1, hop)
        logits, _ = model(frames, model.initial_state(len(rows)))
        passed_over = torch.from_numpy(np.stack([unjudged(clip) for clip, _ in rows]))
        log_p = smoothed_log_p(logits).masked_fill(passed_over[:, None], -torch.inf)
        keywords = log_p[..., UNKNOWN + 1 :].amax(dim=(1, 2))
        heard[first : first + len(rows)] = keywords.exp().numpy()
    model.train(was_training)
    kept = np.flatnonzero(heard > FAINTEST)
    found = np.array(places, np.int64).reshape(-1, 2)[kept]
    return HardStretches(found[:, 0], found[:, 1], heard[kept] / max(heard[kept].sum(), 1e-9))
