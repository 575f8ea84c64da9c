"""Bits per byte of one model over a text of any length, and where in the text they fall."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StateError
from ..frontends import ByteFrontend
from ..runtime.session import Session
from .latency import StepClock, time_steps

__all__ = ["Passes", "TextScore"]

FIRST_DECADE = 100

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Passes:
    """Bits per byte of the passes over a text that is read again and again.

    The first byte of each is left out, since in the first pass nothing foresaw it.

    Attributes:
        size: bytes of one pass.
        count: passes that were read to their end.
        first: bits per byte of the first pass.
        last: of the last one that was whole.
        farthest: of the one that differs most from the first.
    """

    size: int
    count: int = 0
    first: float | None = None
    last: float | None = None
    farthest: float | None = None
    _bits: float = field(default=0.0, repr=False)

    def push(self, at: int, bits: npt.NDArray[np.float64]) -> None:
        """Take the bits of bytes from position `at` of the whole text in."""
        while len(bits):
            inside = at % self.size
            part = bits[: self.size - inside]
            self._bits += float(part[1:].sum() if inside == 0 else part.sum())
            at, bits = at + len(part), bits[len(part) :]
            if at % self.size == 0:
                self._end()

    def _end(self) -> None:
        self.count += 1
        value, self._bits = self._bits / max(1, self.size - 1), 0.0
        self.last = value
        if self.first is None or self.farthest is None:
            self.first = self.farthest = value
        elif abs(value - self.first) > abs(self.farthest - self.first):
            self.farthest = value

    @property
    def largest_change(self) -> float | None:
        """Largest relative difference of a later pass from the first one; None before two."""
        if self.count < 2 or not self.first or self.farthest is None:
            return None
        return abs(self.farthest / self.first - 1)


class TextScore:
    """Reads a text without a reset and adds up the information of its bytes.

    The first byte of the text is not counted, since nothing foresaw it.

    Attributes:
        session: the model.
        count: bytes whose information is known, the first one included.
        bits: information of all but the first, in bits.
        decades: bits and bytes of positions 0 to 99, 100 to 999, 1,000 to 9,999 and so on.
        window: bytes that attention sees (one layer); None for a recurrence alone.
        window_bits: information of the first `window` bytes; None before they are read.
        passes: what repeated passes gave, if a period was given.
        clock: step times.
    """

    def __init__(self, session: Session, period: int | None = None) -> None:
        """Begin before a text; ConfigError when the model reads none.

        Args:
            session: a byte model of any backend.
            period: bytes after which the text begins again, for `passes`.
        """
        manifest = session.manifest
        if manifest.task != "bytes":
            raise ConfigError(
                f"{session.path}: this is a {manifest.task} model, which foresees no text; name a "
                "byte model such as bytes-gru"
            )
        self.session = session
        self._stepper = session.stepper()
        self._front = ByteFrontend(manifest.timing)
        # A recurrence between attention layers sees farther: the word then says nothing.
        self.window = None if manifest.family == "hybrid" else manifest.timing.left_context
        self.count, self.bits = 0, 0.0
        self.decades: list[tuple[float, int]] = []
        self.window_bits: float | None = None
        self.passes = None if period is None else Passes(period)
        self.clock = StepClock()
        self._row: npt.NDArray[np.float32] | None = None

    @property
    def bits_per_byte(self) -> float | None:
        """Over everything but the first byte; None before there is anything to judge."""
        return self.bits / (self.count - 1) if self.count > 1 else None

    @property
    def window_bits_per_byte(self) -> float | None:
        """Over the first window but its first byte."""
        if self.window is None or self.window_bits is None or self.window < 2:
            return None
        return self.window_bits / (self.window - 1)

    def push(self, data: Bytes) -> None:
        """Read more of the text, `[n]`, however it is cut.

        Raises:
            StateError: the model gives no numbers.
        """
        # Copied, since the front end gives the same array every time.
        steps = [x.copy() for x in self._front.push(data)]
        self._read(steps, len(steps) * self.session.manifest.timing.chunk)

    def flush(self) -> None:
        """Read the bytes that wait for a chunk to be full; the text ends here."""
        real = self._front.filled
        self._read([x.copy() for x in self._front.flush()], real)

    def _read(self, steps: list[npt.NDArray[Any]], real: int) -> None:
        if not steps:
            return
        rows: list[npt.NDArray[np.float32]] = []
        step, keep = self._stepper.step, rows.append
        self.clock.record_all(time_steps(lambda x: keep(step(x)[0].copy()), steps))
        values = np.concatenate(steps, axis=1).reshape(-1)[:real]
        logits = np.concatenate(rows)[:real]
        if not np.isfinite(logits).all():
            raise StateError(
                f"{self.session.path}: logits are not finite within {real} bytes of byte "
                f"{self.count}; export it again"
            )
        first = self._row is None
        before = logits[:-1] if self._row is None else np.vstack([self._row[None], logits[:-1]])
        bits = _information(before, values[1:] if first else values)
        self._row = logits[-1]
        self._add(np.concatenate([np.zeros(1), bits]) if first else bits)

    def _add(self, bits: npt.NDArray[np.float64]) -> None:
        """Take the information of the next bytes in, 0 for the first of all."""
        window, at = self.window, self.count
        if window is not None and at < window <= at + len(bits):
            self.window_bits = self.bits + float(bits[: window - at].sum())
        self.bits += float(bits.sum())
        if self.passes is not None:
            self.passes.push(at, bits)
        while len(bits):
            decade = _decade(at)
            part = bits[: FIRST_DECADE * 10**decade - at]
            if decade == len(self.decades):
                self.decades.append((0.0, 0))
            sum_, count = self.decades[decade]
            # The first byte has no information and is none that was foreseen.
            foreseen = len(part) - (at == 0)
            self.decades[decade] = sum_ + float(part.sum()), count + foreseen
            at, bits = at + len(part), bits[len(part) :]
        self.count = at


def _decade(position: int) -> int:
    """0 for positions below 100, 1 below 1,000 and so on."""
    return max(0, len(str(position)) - 2)


def _information(rows: npt.NDArray[np.float32], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`-log2 softmax(rows)` `[n, 256]` at `values` `[n]`, in float64."""
    if not len(rows):
        return np.zeros(0)
    peak = rows.max(axis=1)
    total = np.add.reduce(np.exp(rows - peak[:, None]), axis=1, dtype=np.float64)
    chosen = rows[np.arange(len(rows)), values]
    return np.asarray((np.log(total) + (peak.astype(np.float64) - chosen)) / math.log(2.0))
