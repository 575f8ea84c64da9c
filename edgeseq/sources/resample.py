"""Another sample rate, as a stream that can be saved."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StateError, StreamClosedError
from .base import NOTHING, Floats
from .pcm import check_rate

if TYPE_CHECKING:
    import soxr

__all__ = ["Resampler"]

LEAD_SECONDS = 0.15
"""Input before and after a section that its samples depend on; more made no difference in any of
11 rate pairs from 1 to 192 kHz (below 8e-7 of full scale), 0.05 s did at 1 kHz."""

SECTION_LEADS = 7
"""Length of a section in leads, about a second: two leads of nine are computed twice."""


class Resampler:
    """Mono float32 at one rate to the same sound at another rate; any cut gives equal samples.

    The output is aligned with the input (no shift), and after flush `n` samples have become
    `n * to_rate / from_rate` to the nearest, halves up. Until then it lags behind by the length of
    the filter: up to 37 ms from 48 to 16 kHz, 115 ms from 8 to 16 kHz (soxr 1.1.0, 10 ms pushes).

    soxr cannot give its state. So the input is converted in sections of about a second, each by a
    soxr stream that begins a little before it and ends a little after it: what is still to come
    depends on no more than the last two sections of input, which is what `state` holds.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        """Convert from `from_rate` to `to_rate` samples a second; equal rates pass through."""
        self.from_rate = check_rate(from_rate, "resampling from")
        self.to_rate = check_rate(to_rate, "resampling to")
        shared = gcd(from_rate, to_rate)
        # Input and output samples that last equally long: sections may begin only there.
        self._unit, self._made = from_rate // shared, to_rate // shared
        self._lead = -(-round(LEAD_SECONDS * from_rate) // self._unit) * self._unit
        self._section = SECTION_LEADS * self._lead
        same = from_rate == to_rate
        self._input = np.zeros(0 if same else self._section + 2 * self._lead, np.float32)
        self._runs: list[_Run] = []
        self._spare: list[soxr.ResampleStream] = []
        self.reset()

    def push(self, samples: Floats) -> Floats:
        """What can be said for sure after `samples`; may be empty."""
        self._check_open("push")
        if self.from_rate == self.to_rate:
            return samples
        parts: list[Floats] = []
        at = 0
        while at < len(samples):
            self._begin_sections()
            count = min(len(samples) - at, self._until_edge())
            piece = samples[at : at + count]
            at += count
            self._seen += count
            self._input[self._kept : self._kept + count] = piece
            self._kept += count
            for run in self._runs:
                run.push(piece)
            self._end_sections(parts)
        for run in self._runs:
            parts.append(run.take())
            # A later section may be ahead of its turn.
            if not run.complete:
                break
        return np.concatenate([NOTHING, *parts])

    def flush(self) -> Floats:
        """The last samples; afterwards only reset is allowed."""
        self._check_open("flush")
        self._ended = True
        parts = [NOTHING]
        for run in self._runs:
            run.finish()
            parts.append(run.take())
        self._give_back(len(self._runs))
        return np.concatenate(parts)

    def reset(self) -> None:
        """Forget everything, as if new."""
        self._ended = False
        self._give_back(len(self._runs))
        # Samples seen, and those of them that are still needed.
        self._seen = self._kept = 0
        # What a saved stream had given of its oldest sections, in their order.
        self._given: list[int] = []

    @property
    def state(self) -> dict[str, Any]:
        """Everything needed to go on later, bit for bit: counts, and the input still needed."""
        self._check_open("state")
        return {
            "from_rate": self.from_rate,
            "seen": self._seen,
            "given": [run.given for run in self._runs],
            "input": self._input[: self._kept].copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, of a resampler between the same rates."""
        try:
            rate, seen, given, kept = (state[k] for k in ("from_rate", "seen", "given", "input"))
            fits = rate == self.from_rate and len(state) == 4 and type(given) is list
            fits = fits and all(type(n) is int and n >= 0 for n in (seen, *given))
            fits = fits and kept.dtype == np.float32 and kept.ndim == 1
            fits = fits and len(kept) == self._needed(seen) and len(given) <= 2
        except (KeyError, AttributeError, TypeError):
            fits = False
        if not fits:
            raise StateError(f"resampler state does not fit a conversion from {self.from_rate} Hz")
        self.reset()
        self._seen, self._given = seen - len(kept), given.copy()
        self.push(kept)

    def _needed(self, seen: int) -> int:
        """How much of the last input decides what is still to come after `seen` samples."""
        if self.from_rate == self.to_rate:
            return 0
        # The oldest section that is not complete; at its edges nothing is said yet of the next.
        oldest = max(0, (seen - self._lead) // self._section)
        return seen - max(0, oldest * self._section - self._lead)

    def _begin_sections(self) -> None:
        """Start the streams of the sections whose lead begins at the next sample."""
        at = self._seen
        index = (at + self._lead) // self._section if (at + self._lead) % self._section == 0 else -1
        if at == 0:
            index = 0
        if index >= 0:
            begin = index * self._section
            ratio = self._made / self._unit
            self._runs.append(
                _Run(
                    self._spare.pop() if self._spare else self._new_stream(),
                    skip=round((begin - at) * ratio),
                    most=round(self._section * ratio),
                    last=begin + self._section + self._lead,
                    given=self._given.pop(0) if self._given else 0,
                )
            )

    def _until_edge(self) -> int:
        """Samples until a section begins or ends."""
        before = self._section - (self._seen + self._lead) % self._section
        after = self._section - (self._seen - self._lead) % self._section
        return min(before, after)

    def _end_sections(self, parts: list[Floats]) -> None:
        if self._runs and self._runs[0].last == self._seen:
            self._runs[0].finish()
            parts.append(self._runs[0].take())
            self._give_back(1)
            needed = self._needed(self._seen)
            self._input[:needed] = self._input[self._kept - needed : self._kept].copy()
            self._kept = needed

    def _give_back(self, count: int) -> None:
        for run in self._runs[:count]:
            run.stream.clear()
            self._spare.append(run.stream)
        del self._runs[:count]

    def _new_stream(self) -> soxr.ResampleStream:
        import soxr

        return soxr.ResampleStream(self.from_rate, self.to_rate, 1, dtype="float32", quality="HQ")

    def _check_open(self, verb: str) -> None:
        if self._ended:
            raise StreamClosedError(f"resampler: {verb} after flush; call reset first")


class _Run:
    """One section on its way through a soxr stream.

    Attributes:
        stream: fresh at the beginning of the lead.
        last: the input sample, counted from the start, after which it is complete.
        given: its output samples that were taken.
    """

    def __init__(
        self, stream: soxr.ResampleStream, skip: int, most: int, last: int, given: int
    ) -> None:
        """Drop `skip` samples, keep `most` after them, of which `given` were taken already."""
        self.stream = stream
        self.last = last
        self.given = given
        self._skip = skip + given
        self._most = max(0, most - given)
        self._parts: list[Floats] = []

    @property
    def complete(self) -> bool:
        """Whether all its samples have come out."""
        return self._most == 0

    def push(self, samples: Floats) -> None:
        """More input."""
        self._keep(self.stream.resample_chunk(samples))

    def finish(self) -> None:
        """The input has ended."""
        self._keep(self.stream.resample_chunk(NOTHING, last=True))

    def take(self) -> Floats:
        """What has come out since the last call."""
        taken = np.concatenate([NOTHING, *self._parts])
        self._parts = []
        self.given += len(taken)
        return taken

    def _keep(self, samples: Floats) -> None:
        dropped = min(self._skip, len(samples))
        self._skip -= dropped
        kept = samples[dropped : dropped + self._most]
        self._most -= len(kept)
        if len(kept):
            self._parts.append(kept)
