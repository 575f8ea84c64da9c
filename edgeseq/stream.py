"""From samples to events: the whole path of one stream."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from .decode import Decoder, make
from .errors import AudioError, ConfigError, ManifestError, StateError, StreamClosedError
from .events import Event, Gap
from .frontends import ByteFrontend, Frontend, PcmFrontend
from .profile.latency import StepClock
from .runtime.session import Session
from .timeline import Timeline

if TYPE_CHECKING:
    from .sources.base import Source
    from .sources.resample import Resampler

__all__ = ["Stream", "load"]

LOUDEST = 100.0
"""Samples beyond 40 dB over full scale are damage: squared, they could overflow to infinity."""

SAVED = (
    "model",
    "tensors",
    "waiting",
    "decoder",
    "timeline",
    "outputs",
    "resampler",
    "base",
    "since",
    "samples",
    "repaired",
    "ended",
)
"""Keys of a saved stream."""

FLOAT32, INT16, UINT8 = np.dtype(np.float32), np.dtype(np.int16), np.dtype(np.uint8)
INT16_SCALE = np.float32(1 / 32768)

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int16]


class Stream:
    """Push input of any length, get events; memory stays constant however long it runs.

        with Stream("kws.onnx") as stream:
            for samples in microphone:
                for event in stream.push(samples, rate=48000):
                    print(event)

    How the input is cut never changes events or times. Times count samples, including lost ones,
    and never read a clock. One stream belongs to one thread at a time; streams that share a
    Session are independent.

    Attributes:
        session: the loaded model.
        clock: step times since the stream was made.
        repaired: samples that were no usable number and became 0.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Session,
        *,
        backend: str = "auto",
        threads: int = 1,
        decoding: Mapping[str, object] | None = None,
    ) -> None:
        """Make a stream over a model file or a shared Session.

        Args:
            model: path of an exported file, or a Session.
            backend: passed to Session when `model` is a path.
            threads: passed to Session when `model` is a path.
            decoding: decoder settings that replace those of the manifest, key by key.
        """
        self.session = model if isinstance(model, Session) else Session(model, backend, threads)
        manifest = self.session.manifest
        self._timing = manifest.timing
        self._text = manifest.input == "bytes"
        self._kinds = (UINT8,) if self._text else (FLOAT32, INT16)
        self._stepper = self.session.stepper()
        self._front: Frontend = (ByteFrontend if self._text else PcmFrontend)(self._timing)
        settings = {**asdict(manifest.decoding), **(decoding or {})}
        try:
            self._decoder: Decoder = make(manifest.task, manifest.labels, self._timing, settings)
        except ManifestError as error:
            # The manifest's own settings have been checked, so these are the caller's.
            raise ConfigError(str(error)) from None
        self._flush_samples = 0
        if self._timing.sample_rate:
            silence = round(cast(float, settings["flush_s"]) * self._timing.sample_rate)
            self._flush_samples = silence + self._timing.lookahead * self._timing.hop
        self.clock = StepClock()
        self._closed = self._ended = False
        self._outputs = 0
        self._resampler: Resampler | None = None
        self.reset()

    def reset(self, soft: bool = False) -> None:
        """Forget the past, so that the stream is as new; `clock` goes on.

        `soft` resets the decoder only: model state and stream time go on, so that nothing of the
        next word is lost (after an endpoint, for example).
        """
        self._check("reset", ended=False)
        if soft:
            self._decoder.reset(self._outputs)
            return
        self._outputs = 0
        self._ended = False
        self.repaired = 0
        self._timeline = Timeline()
        self._resampler = None
        # Model samples before the current resampler, and source samples given to it.
        self._base = self._since = 0
        self._samples = 0
        self._stepper.reset()
        self._front.reset()
        self._decoder.reset()

    @property
    def seconds(self) -> float:
        """Stream time that has been pushed, including what was lost (bytes for text)."""
        return self._position() + self._timeline.lost

    def push(
        self,
        samples: Array | bytes,
        rate: int | None = None,
        lost: int = 0,
        cause: str = "lost",
    ) -> list[Event]:
        """Events that `samples` complete.

        Args:
            samples: mono float32 in [-1, 1] or int16 for audio, uint8 or bytes for text.
            rate: samples a second of `samples`; None for the model's own.
            lost: samples (at `rate`) that are missing just before these. The model's state is kept,
                time goes on, and a Gap event says so.
            cause: what that Gap gives as its cause.
        """
        self._check("push")
        block = self._checked(samples)
        rate = self._checked_rate(rate)
        if lost < 0:
            raise ConfigError(f"lost is {lost}, must be 0 or more samples")
        events: list[Event] = []
        self._use_rate(rate, events)
        if lost:
            seconds = lost / (rate or 1)
            self._timeline.add_gap(self._position(), seconds)
            events.append(Gap(self.seconds, seconds, cause))
        self._since += block.size
        if self._resampler is not None:
            block = self._resampler.push(cast(Floats, block))
        self._run(block, events)
        return events

    def flush(self) -> list[Event]:
        """The last events, at the end of the input; afterwards only reset or close may follow.

        The part of a chunk that waits is computed with zeros after it, and the manifest's `flush_s`
        and the look-ahead follow as zeros, so that a word at the very end is still found.
        """
        self._check("flush")
        events: list[Event] = []
        self._leave_resampler(events)
        self._ended = True
        end = self.seconds
        if self._flush_samples:
            for x in self._front.push(np.zeros(self._flush_samples, np.float32)):
                self._step(x, events)
        # Rows beyond the last real byte would be read as text; zeros after audio only help.
        real = self._front.filled if self._text else None
        for x in self._front.flush():
            self._step(x, events, real)
        events += self._on_timeline(self._decoder.flush())
        return [replace(e, time=end) if e.time > end else e for e in events]

    def events(self, source: Source) -> Iterator[Event]:
        """All events of a source, to its end, then those of flush."""
        for block in source.blocks():
            yield from self.push(block.samples, source.sample_rate, block.lost, block.cause)
        yield from self.flush()

    def _run(self, block: Array, events: list[Event]) -> None:
        self._samples += block.size
        for x in self._front.push(block):
            self._step(x, events)

    def _step(self, x: Array, events: list[Event], real: int | None = None) -> None:
        start = perf_counter_ns()
        y = self._stepper.step(x)
        self.clock.record(perf_counter_ns() - start)
        logits = y[0] if real is None else y[0, :real]
        self._outputs += len(logits)
        found = self._decoder.push(logits, x if real is None else x[:, :real])
        if found:
            events += self._on_timeline(found)

    def _on_timeline(self, events: list[Event]) -> list[Event]:
        if not self._timeline.gaps:
            return events
        return [replace(e, time=self._timeline.stream(e.time)) for e in events]

    def _position(self) -> float:
        """Seconds of model time that the input pushed so far fills."""
        if self._resampler is None:
            return self._timing.seconds(self._samples)
        ratio = self._resampler.to_rate / self._resampler.from_rate
        return self._timing.seconds(self._base + round(self._since * ratio))

    def _use_rate(self, rate: int | None, events: list[Event]) -> None:
        """Go on with input at `rate`; what the former resampler still held is computed first."""
        current = self._resampler.from_rate if self._resampler else self._timing.sample_rate
        if rate == current:
            return
        resampler = None
        if rate != self._timing.sample_rate:
            from .sources.resample import Resampler

            # Made before anything changes: a rate that it refuses must leave the stream as it is.
            resampler = Resampler(cast(int, rate), cast(int, self._timing.sample_rate))
        self._leave_resampler(events)
        self._resampler, self._base, self._since = resampler, self._samples, 0

    def _leave_resampler(self, events: list[Event]) -> None:
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            self._run(resampler.flush(), events)

    def _checked(self, samples: Array | bytes) -> Array:
        """The samples as the front end takes them; AudioError when they are of another kind."""
        block = np.frombuffer(samples, np.uint8) if isinstance(samples, bytes) else samples
        if not isinstance(block, np.ndarray) or block.dtype not in self._kinds:
            allowed = "uint8 bytes" if self._text else "float32 in [-1, 1] or int16"
            kind = block.dtype if isinstance(block, np.ndarray) else type(block).__name__
            raise AudioError(f"push takes a numpy array of {allowed}, got {kind}")
        if block.ndim != 1:
            raise AudioError(
                f"push takes one channel [n], got shape {list(block.shape)}; choose or mix channels"
            )
        if self._text:
            return block
        if block.dtype == INT16:
            return cast(Ints, block) * INT16_SCALE
        return self._repair(cast(Floats, block))

    def _repair(self, block: Floats) -> Floats:
        # Two passes without a copy; NaN survives both reductions and fails both comparisons.
        low = np.minimum.reduce(block, initial=0.0)
        if low >= -LOUDEST and np.maximum.reduce(block, initial=0.0) <= LOUDEST:
            return block
        good = np.abs(block) <= LOUDEST
        self.repaired += int(np.count_nonzero(~good))
        return np.where(good, block, np.float32(0))

    def _checked_rate(self, rate: int | None) -> int | None:
        own = self._timing.sample_rate
        if rate is None or rate == own:
            return own
        if own is None:
            raise ConfigError(f"rate is {rate}, but a text stream has none; leave it out")
        if not isinstance(rate, int) or isinstance(rate, bool):
            raise ConfigError(f"rate is {rate!r}, must be a whole number of samples a second")
        return rate

    def _check(self, verb: str, ended: bool = True) -> None:
        if self._closed:
            raise StreamClosedError(f"{verb} after close; make a new Stream")
        if ended and self._ended:
            raise StreamClosedError(f"{verb} after flush; call reset() to begin anew")

    @property
    def state(self) -> dict[str, Any]:
        """Everything needed to go on later: numpy arrays and plain JSON values, all copies."""
        self._check("state", ended=False)
        return {
            "model": self.session.digest,
            "tensors": self._stepper.state(),
            "waiting": self._front.state(),
            "decoder": self._decoder.state(),
            "timeline": self._timeline.state(),
            "outputs": self._outputs,
            "resampler": None if self._resampler is None else self._resampler.state,
            "base": self._base,
            "since": self._since,
            "samples": self._samples,
            "repaired": self.repaired,
            "ended": self._ended,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, in any process; StateError when it does not fit."""
        self._check("restore", ended=False)
        if sorted(state) != sorted(SAVED):
            raise StateError(f"a saved stream has the keys {', '.join(SAVED)}")
        if state["model"] != self.session.digest:
            raise StateError(
                "the saved stream belongs to another model file; load the file it was saved with"
            )
        self.reset()
        try:
            self._stepper.restore(state["tensors"])
            self._front.restore(state["waiting"])
            self._decoder.restore(state["decoder"])
            self._timeline = Timeline.restored(state["timeline"])
            self._restore_resampler(state["resampler"])
        except BaseException:
            # Half of one stream and half of another would be worse than a fresh one.
            self.reset()
            raise
        self._outputs, self._samples = state["outputs"], state["samples"]
        self._base, self._since = state["base"], state["since"]
        self.repaired, self._ended = state["repaired"], state["ended"]

    def _restore_resampler(self, state: Mapping[str, Any] | None) -> None:
        if state is None:
            return
        from .sources.resample import Resampler

        try:
            resampler = Resampler(state["from_rate"], cast(int, self._timing.sample_rate))
        except (KeyError, TypeError, ConfigError):
            raise StateError("the saved stream's resampler does not fit this model") from None
        resampler.restore(state)
        self._resampler = resampler

    def close(self) -> None:
        """End the stream; may be called twice. The Session stays usable."""
        self._closed = True
        self._resampler = None

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the stream."""
        self.close()


def load(path: str | os.PathLike[str], *, backend: str = "auto", threads: int = 1) -> Stream:
    """A stream over the model file at `path`, ready for push."""
    return Stream(path, backend=backend, threads=threads)
