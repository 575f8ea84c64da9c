"""Speech or not: hysteresis, least lengths, padding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..decoding import VadDecoding
from ..events import Event, Speech
from ..spec import Timing
from .base import Logits, check_keys

__all__ = ["VadDecoder"]


class VadDecoder:
    """Emits Speech at the beginning and at the end of speech.

    Speech begins when the probability reaches `on` and stays at least `off` for `min_speech_s`; it
    ends when it stays below `off` for `min_silence_s`. Both times are moved outwards by `pad_s`,
    but never before the event before, nor after the newest output frame.
    """

    def __init__(self, timing: Timing, decoding: VadDecoding) -> None:
        """Decode logits of the labels _silence_ and speech."""
        self._timing = timing
        self._on, self._off, self._pad = decoding.on, decoding.off, decoding.pad_s
        self._min_speech = max(1, timing.frames(decoding.min_speech_s))
        self._min_silence = max(1, timing.frames(decoding.min_silence_s))
        self.reset()

    def reset(self, output: int = 0) -> None:
        """Forget everything; the next output frame has number `output`."""
        self._output = output
        self._active = False
        # The frame at which the state that is not yet believed began; -1 when there is none.
        self._turn = -1
        self._last = self._boundary(output)

    def _boundary(self, output: int) -> float:
        """Stream time at which output frame `output` begins."""
        return self._timing.output_seconds(output - 1)

    def push(self, logits: Logits, x: npt.NDArray[np.generic]) -> list[Event]:
        """Speech events that the output frames `logits` `[n, 2]` complete; `x` is not used."""
        events: list[Event] = []
        for silence, speech in logits.tolist():
            self._judge(_probability(speech - silence), events)
        return events

    def _judge(self, probability: float, events: list[Event]) -> None:
        turning = probability < self._off if self._active else probability >= self._on
        if self._turn < 0:
            if turning:
                self._turn = self._output
        elif self._active:
            if probability >= self._off:
                self._turn = -1
        elif probability < self._off:
            self._turn = -1
        self._output += 1
        need = self._min_silence if self._active else self._min_speech
        if self._turn >= 0 and self._output - self._turn >= need:
            events.append(self._emit(self._boundary(self._turn)))

    def _emit(self, boundary: float) -> Event:
        self._active = not self._active
        self._turn = -1
        moved = boundary - self._pad if self._active else boundary + self._pad
        self._last = min(max(moved, self._last), self._boundary(self._output))
        return Speech(self._last, self._active)

    def flush(self) -> list[Event]:
        """The end of speech that is still going on, if any."""
        if not self._active:
            self._turn = -1
            return []
        return [self._emit(self._boundary(self._turn if self._turn >= 0 else self._output))]

    def state(self) -> dict[str, object]:
        """Everything the decoder remembers, as plain JSON values."""
        return {
            "output": self._output,
            "active": self._active,
            "turn": self._turn,
            "last": self._last,
        }

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from what `state` gave."""
        check_keys(state, self.state())
        values = cast(dict[str, Any], state)
        self._output, self._active = values["output"], values["active"]
        self._turn, self._last = values["turn"], values["last"]


def _probability(difference: float) -> float:
    """Softmax of two logits whose difference is given; 0 when it is no number."""
    if not math.isfinite(difference) or difference < -700.0:
        return 0.0
    return 1.0 / (1.0 + math.exp(-difference))
