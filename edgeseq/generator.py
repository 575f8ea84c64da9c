"""From a byte model to text: what was read so far, and what comes next, one byte a step."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .decode.sampling import Sampler
from .errors import ConfigError, StateError
from .profile.latency import StepClock, time_steps
from .runtime.session import Session

__all__ = ["BEFORE", "BYTE_VALUES", "Generator", "StopText", "check_writes"]

BYTE_VALUES = 256

SAVED = ("tensors", "logits", "unfinished", "count")
"""Keys of a saved generator."""


def check_writes(session: Session) -> None:
    """Raise ConfigError unless the model gives the next byte after each byte."""
    manifest = session.manifest
    if manifest.task != "bytes":
        raise ConfigError(
            f"{session.path}: this is a {manifest.task} model, which writes no text; name a byte "
            "model such as bytes-gru"
        )
    if manifest.timing.chunk != 1:
        raise ConfigError(
            f"{session.path}: takes {manifest.timing.chunk} bytes in one step, and text is written "
            "one by one; export it with --chunk 1"
        )


BEFORE = b"\n"
"""What every text begins behind, uncounted. A recurrence that was trained with carried state never
met the one that a stream starts from: of the first 10 bytes of lines of Moby-Dick bytes-gru needs
7.9 bits each from there, 3.4 behind a line break."""


class Generator:
    """Reads bytes and writes the ones that follow; memory stays constant.

        generator = Generator(Session(resolve("bytes-gru")), Sampler(temperature=0.7, seed=1))
        generator.read(b"In the beginning ")
        print("".join(generator.write() for _ in range(200)))

    Attributes:
        session: the loaded model.
        count: bytes that the model has read, its own included.
        reading: step times of bytes that were given.
        writing: times to draw a byte and to take it in.
    """

    def __init__(self, session: Session, sampler: Sampler) -> None:
        """Begin before a text; ConfigError when the model writes none."""
        check_writes(session)
        self.session = session
        self._sampler = sampler
        self._stepper = session.stepper()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._inputs = [np.full((1, 1, 1), byte, np.int64) for byte in range(BYTE_VALUES)]
        self._logits: np.ndarray[Any, np.dtype[np.float32]] | None = None
        self.count = 0
        self.reading, self.writing = StepClock(), StepClock()

    def read(self, data: bytes) -> None:
        """Take `data` in, however it is cut."""
        if not data:
            return
        self._begin()
        self.reading.record_all(time_steps(self._step, data))
        self.count += len(data)
        self._utf8.decode(data)

    def write(self) -> str:
        """The characters that the next byte completes, "" within a character.

        Bytes that are no UTF-8 become U+FFFD.

        Raises:
            StateError: the model gives no numbers.
        """
        self._begin()
        self.writing.record_all(time_steps(self._next, (None,)))
        self.count += 1
        return self._utf8.decode(self._last)

    def _begin(self) -> None:
        if self._logits is None:
            for byte in BEFORE:
                self._step(byte)

    def _next(self, _: None) -> None:
        assert self._logits is not None
        byte = self._sampler.sample(self._logits)
        self._last = bytes((byte,))
        self._step(byte)

    def _step(self, byte: int) -> None:
        # The stepper's own array: read before its next step overwrites it.
        self._logits = self._stepper.step(self._inputs[byte])[0, 0]

    @property
    def unfinished(self) -> bytes:
        """Bytes of the character that has only begun."""
        return self._utf8.getstate()[0]

    @property
    def state(self) -> dict[str, Any]:
        """Everything needed to go on later: numpy arrays and plain JSON values, all copies."""
        return {
            "tensors": self._stepper.state(),
            "logits": None if self._logits is None else self._logits.copy(),
            "unfinished": list(self.unfinished),
            "count": self.count,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, in any process; StateError when it does not fit.

        Draws are no part of it: they go on where this generator's sampler is.
        """
        if sorted(state) != sorted(SAVED):
            raise StateError(f"a saved text has the keys {', '.join(SAVED)}")
        logits, unfinished, count = state["logits"], state["unfinished"], state["count"]
        if logits is not None:
            fits = isinstance(logits, np.ndarray) and logits.shape == (BYTE_VALUES,)
            if not fits or logits.dtype != np.float32:
                raise StateError(f"saved text: logits must be float32[{BYTE_VALUES}] or null")
        try:
            # Not of a number, which would be as many zeros.
            begun = bytes(unfinished) if isinstance(unfinished, list) else b"?"
        except (TypeError, ValueError):
            begun = b"?"
        if codecs.getincrementaldecoder("utf-8")("replace").decode(begun):
            raise StateError("saved text: unfinished must be the first bytes of one character")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise StateError(f"saved text: count is {count!r}, must be a whole number from 0")
        tensors = state["tensors"]
        arrays = isinstance(tensors, Mapping) and all(
            isinstance(tensor, np.ndarray) for tensor in tensors.values()
        )
        if not arrays:
            raise StateError("saved text: tensors must be arrays by name")
        self._stepper.restore(tensors)
        self._logits = None if logits is None else logits.copy()
        self._utf8.setstate((begun, 0))
        self.count = count


class StopText:
    """Passes text on up to the first of several texts, which is cut off.

    What may be the beginning of one is held back until that is known.

    Attributes:
        found: the text that came, "" while none has.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Wait for one of `texts`; ConfigError when one is empty."""
        if "" in texts:
            raise ConfigError("a stop text is empty; give at least one character")
        self._texts = texts
        self._held = ""
        self.found = ""

    def push(self, text: str) -> str:
        """What of the text so far is sure to stand before a stop text, and was not given yet."""
        if self.found:
            return ""
        self._held += text
        places = [(self._held.find(stop), stop) for stop in self._texts if stop in self._held]
        if places:
            # The first to begin; of two at one place the longer, which holds the other.
            at, self.found = min(places, key=lambda place: (place[0], -len(place[1])))
            given, self._held = self._held[:at], ""
            return given
        keep = max((_overlap(self._held, stop) for stop in self._texts), default=0)
        given, self._held = self._held[: len(self._held) - keep], self._held[-keep:] if keep else ""
        return given

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        given, self._held = self._held, ""
        return given


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of `text` that are a beginning of `stop`."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)
