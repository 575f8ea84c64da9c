"""One source, heard by several models side by side."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Protocol

from ..events import Event
from ..profile.bits import BitsPerByte
from ..sources import Block, Source
from ..stream import Stream
from .interrupt import Interrupt

__all__ = ["Output", "Run", "Track"]

LATEST = 2000
"""Events kept for the live view: more than a screen of single characters."""

PIECE_SECONDS = 0.1
PIECE_BYTES = 256
"""Most input between two looks at the clock and at Ctrl-C."""

TICK_SECONDS = 0.1


class Track:
    """One model on the input, and what it has said.

    Attributes:
        name: what output calls the model.
        stream: the model at work.
        text: whether it reads bytes.
        counts: events by kind.
        latest: the last events, oldest first.
        bits: information of the text read so far.
    """

    def __init__(self, name: str, stream: Stream) -> None:
        """Count the events of `stream`."""
        self.name = name
        self.stream = stream
        self.text = stream.session.manifest.input == "bytes"
        self.counts: Counter[str] = Counter()
        self.latest: deque[Event] = deque(maxlen=LATEST)
        self.bits = BitsPerByte()

    def take(self, events: list[Event]) -> None:
        """Count `events`."""
        self.latest.extend(events)
        self.counts.update(type(event).__name__.lower() for event in events)
        self.bits.push(events)

    @property
    def rtf(self) -> float | None:
        """Compute time by stream time; None for text and before there is any."""
        seconds = self.stream.seconds
        return None if self.text or not seconds else self.stream.clock.total_s / seconds


class Output(Protocol):
    """Where events go."""

    def hear(self, block: Block) -> None:
        """Take the input itself, before the events that it causes."""
        ...

    def events(self, track: Track, events: list[Event]) -> None:
        """Show what `track` has just said."""
        ...

    def tick(self) -> None:
        """Called about every 0.1 s while there is input."""
        ...


class Run:
    """Gives every block of a source to every track, and their events to the outputs.

    Attributes:
        pushed: samples (or bytes) of the source that were given, without lost ones.
        lost: samples of the source that were lost.
    """

    def __init__(
        self,
        source: Source,
        tracks: Sequence[Track],
        outputs: Sequence[Output],
        seconds: float | None = None,
    ) -> None:
        """Prepare; `seconds` of stream time end the run, if given."""
        self.source = source
        self.tracks = tracks
        self.outputs = outputs
        self.pushed = 0
        self.lost = 0
        rate = source.sample_rate
        self._limit = None if seconds is None or rate is None else round(seconds * rate)
        self._piece = max(1, round(rate * PIECE_SECONDS)) if rate else PIECE_BYTES
        self._next_tick = 0.0

    def feed(self, interrupt: Interrupt) -> None:
        """Run to the end of the input, of the time or of the user's patience."""
        for piece in self._pieces(interrupt):
            self.pushed += len(piece.samples)
            self.lost += piece.lost
            for output in self.outputs:
                output.hear(piece)
            for track in self.tracks:
                events = track.stream.push(
                    piece.samples, self.source.sample_rate, piece.lost, piece.cause
                )
                self._show(track, events)
            now = monotonic()
            if now >= self._next_tick:
                self._next_tick = now + TICK_SECONDS
                for output in self.outputs:
                    output.tick()

    def flush(self) -> None:
        """Tell every track that the input has ended, and show its last events."""
        for track in self.tracks:
            self._show(track, track.stream.flush())

    def _show(self, track: Track, events: list[Event]) -> None:
        if events:
            track.take(events)
            for output in self.outputs:
                output.events(track, events)

    def _pieces(self, interrupt: Interrupt) -> Iterator[Block]:
        """The source in small pieces, to the sample at which the time is over."""
        for block in interrupt.blocks(self.source):
            lost = block.lost
            for begin in range(0, max(1, len(block.samples)), self._piece):
                samples = block.samples[begin : begin + self._piece]
                if self._limit is not None:
                    left = self._limit - self.pushed - self.lost
                    lost = min(lost, left)
                    samples = samples[: left - lost]
                yield Block(samples, lost, block.cause)
                lost = 0
                if interrupt.requested or self.pushed + self.lost == self._limit:
                    return
