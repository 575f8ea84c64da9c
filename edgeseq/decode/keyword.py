"""Keywords: label probabilities of smoothed logits, one event per spoken word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..decoding import NOT_WORDS, KeywordDecoding
from ..events import Event, Keyword
from ..spec import Timing
from .base import Logits, check_keys

__all__ = ["KeywordDecoder"]

LOOK_S = 0.2
"""Longest wait, after a score crossed its threshold, for the peak to be reported."""

OTHER_REFRACTORY_S = 0.3
"""How long after a keyword no other label may fire: less is still the same word."""


LOWEST_LOGIT = -100.0
"""Logits further below the frame's highest are set to this: a mean must stay finite."""


class KeywordDecoder:
    """Emits a Keyword at the peak of a smoothed probability above its threshold.

    What is smoothed is the logits, so that a score is the (normalised) geometric mean of the
    newest frames' probabilities. A word must be likely in all of them; an arithmetic mean is high
    when a door slams into half of them.

    After an event its label is quiet for `refractory_s` and all others for 0.3 s. Besides, a label
    that was above its threshold at the event, as winner or as loser of the same word, must fall
    below it once before it can fire again. Cost per output frame: O(V) for the softmax and
    O(V * smoothing frames) for the mean.
    """

    def __init__(self, labels: Sequence[str], timing: Timing, decoding: KeywordDecoding) -> None:
        """Decode the `labels` that have a threshold."""
        self._labels = tuple(labels)
        self._timing = timing
        count = len(self._labels)
        frames = max(1, timing.frames(decoding.smoothing_s))
        self._threshold = np.full(count, np.inf)
        for label, value in decoding.thresholds.items():
            self._threshold[self._labels.index(label)] = value
        self._threshold[: len(NOT_WORDS)] = np.inf
        self._look = timing.frames(LOOK_S)
        self._refractory = timing.frames(decoding.refractory_s)
        self._other = timing.frames(OTHER_REFRACTORY_S)
        self._ring = np.zeros((frames, count))
        self._score = np.zeros(count)
        self._armed = np.ones(count, bool)
        self._blocked = np.zeros(count, np.int64)
        self.reset()

    def reset(self, output: int = 0) -> None:
        """Forget everything; the next output frame has number `output`."""
        self._output = output
        self._slot = 0
        self._ring.fill(0)
        self._armed.fill(True)
        self._blocked.fill(0)
        # The candidate: label, best score, its frame, and the frame it began; no label is -1.
        self._best, self._peak, self._peak_at, self._began = -1, 0.0, 0, 0

    def push(self, logits: Logits, x: npt.NDArray[np.generic]) -> list[Event]:
        """Keywords that the output frames `logits` `[n, V]` complete; `x` is not used."""
        events: list[Event] = []
        for row in logits:
            self._smooth(row)
            above = self._score > self._threshold
            if self._best >= 0 or np.logical_or.reduce(above):
                self._judge(above, events)
            else:
                self._armed.fill(True)
            self._output += 1
        return events

    def _smooth(self, row: npt.NDArray[np.float32]) -> None:
        slot = self._ring[self._slot]
        top = float(np.maximum.reduce(row))
        # NaN or +inf anywhere shows in the maximum; such a frame says nothing, as one of zeros.
        if math.isfinite(top):
            np.subtract(row, top, out=slot)
            np.maximum(slot, LOWEST_LOGIT, out=slot)
        else:
            slot.fill(0)
        self._slot = (self._slot + 1) % len(self._ring)
        # Summed anew each time: a running sum would drift over hours.
        score = self._score
        np.add.reduce(self._ring, axis=0, out=score)
        score /= len(self._ring)
        score -= np.maximum.reduce(score)
        np.exp(score, out=score)
        score /= np.add.reduce(score)

    def _judge(self, above: npt.NDArray[np.bool_], events: list[Event]) -> None:
        now = self._output
        self._armed |= ~above
        allowed = above & self._armed & (self._blocked <= now)
        score = np.where(allowed, self._score, -1.0)
        best = int(np.argmax(score))
        rising = score[best] > self._peak
        if self._best < 0:
            if not allowed[best]:
                return
            self._began, rising = now, True
        if rising:
            self._best, self._peak, self._peak_at = best, float(score[best]), now
        if not rising or now - self._began >= self._look:
            events.append(self._emit())
            self._armed &= ~above

    def _emit(self) -> Event:
        at = self._peak_at
        event = Keyword(self._timing.output_seconds(at), self._labels[self._best], self._peak)
        np.maximum(self._blocked, at + self._other, out=self._blocked)
        self._blocked[self._best] = at + self._refractory
        self._best, self._peak = -1, 0.0
        return event

    def flush(self) -> list[Event]:
        """The keyword whose peak was still being waited for, if any."""
        return [self._emit()] if self._best >= 0 else []

    def state(self) -> dict[str, object]:
        """Everything the decoder remembers, as plain JSON values."""
        return {
            "output": self._output,
            "slot": self._slot,
            "ring": self._ring.reshape(-1).tolist(),
            "armed": self._armed.tolist(),
            "blocked": self._blocked.tolist(),
            "candidate": [self._best, self._peak, self._peak_at, self._began],
        }

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from what `state` gave."""
        check_keys(state, self.state())
        values = cast(dict[str, Any], state)
        self._output, self._slot = values["output"], values["slot"]
        self._ring[...] = np.reshape(values["ring"], self._ring.shape)
        self._armed[...] = values["armed"]
        self._blocked[...] = values["blocked"]
        self._best, self._peak, self._peak_at, self._began = values["candidate"]
