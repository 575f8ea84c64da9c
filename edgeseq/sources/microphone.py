"""A microphone, through PortAudio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from ..errors import AudioError, ConfigError
from .base import NOTHING, Block, Floats
from .channels import Channel, ChannelMix
from .clock import Clock, SystemClock
from .devices import (
    Backend,
    find_device,
    list_devices,
    open_input,
    portaudio,
    quiet_stderr,
    settings_for,
)
from .drift import DriftMeter
from .pcm import check_rate
from .ring import AudioRing

__all__ = ["Health", "Microphone", "OnOverflow"]

OnOverflow = Literal["mark", "fill", "fail"]

WAIT_SECONDS = 0.1
"""Longest wait in one piece: Windows delivers Ctrl-C only between waits."""

FIRST_PATIENCE = 2.5
"""The first audio may take this times as long: a sleeping PulseAudio needed up to 1.9 s."""

TAKE_SECONDS = 1.0
"""Most audio in one block after the program fell behind."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 5.0
"""A lost device is looked for at once, then after 0.5, 1, 2, 4, 5, 5, ... seconds."""

DRIFT_SECONDS, DRIFT_PPM = 0.5, 300.0
"""Drift is worth a word beyond both: crystals differ by 100 ppm, buffers shift by 0.2 s."""

MOST_NOTES = 100
"""A device that fails every minute of a year must not fill the memory with words."""


@dataclass(frozen=True, slots=True)
class Health:
    """What went wrong with a microphone so far.

    Attributes:
        overflows: how often audio was lost, in the device or because this program was too slow.
        losses: how often the device went away.
        lost_seconds: audio that is missing, both kinds together.
        silent_seconds: audio that was exactly zero for longer than the timeout.
        drift_ppm: how much the device's clock is fast, in millionths; None while unknown.
    """

    overflows: int
    losses: int
    lost_seconds: float
    silent_seconds: float
    drift_ppm: float | None


class Microphone:
    """Audio of an input device as it comes; see Source for the attributes.

    The device is opened at once and listened to from the first `blocks()` on. A device that refuses
    the wanted rate is opened at its own: `sample_rate` is what was really opened. The level is left
    as the device gives it: there is no automatic gain.
    """

    live = True

    def __init__(
        self,
        rate: int = 16000,
        device: int | str | None = None,
        channel: Channel = "mix",
        *,
        block_seconds: float = 0.02,
        buffer_seconds: float = 10.0,
        on_overflow: OnOverflow = "mark",
        timeout_seconds: float = 2.0,
        reopen: bool = True,
        backend: Backend | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Open `device` (a number, a part of its name, or None for the default).

        Args:
            rate: wanted samples a second.
            device: see `list_devices`.
            channel: an index from 0, or "mix" for the mean of all channels.
            block_seconds: audio that the device hands over at a time.
            buffer_seconds: audio kept while the program is busy; more than that is lost.
            on_overflow: what to do about lost audio: "mark" sets `Block.lost`, "fill" puts zeros
                in its place (a loss longer than the buffer is marked: catching up with it would
                lose more), "fail" raises AudioError.
            timeout_seconds: without audio for so long, the device counts as gone.
            reopen: whether a device that is gone is opened again when it comes back, by its name;
                else, and with on_overflow "fail", blocks() raises AudioError. Looking for devices
                anew makes PortAudio end every other sounddevice stream of this process.
            backend: the module sounddevice, or something like it.
            clock: the machine's, or that of a simulation.
        """
        if on_overflow not in ("mark", "fill", "fail"):
            raise ConfigError(f"on_overflow is {on_overflow!r}; allowed are mark, fill and fail")
        for option, value in (("block", block_seconds), ("buffer", buffer_seconds)):
            if not value > 0:
                raise ConfigError(f"{option}_seconds is {value}; it must be above 0")
        check_rate(rate, "microphone")
        self.notes: list[str] = []
        self._clock = clock or SystemClock()
        self._backend = backend or portaudio()
        info = find_device(self._backend, device)
        self.name: str = info["name"]
        self._on_overflow = on_overflow
        self._timeout = timeout_seconds
        self._reopen = reopen and on_overflow != "fail"
        self._number = 0
        settings = settings_for(info, rate, channel, block_seconds)
        self._stream, self._setting, reason = open_input(
            self._backend, info, settings, self._callback()
        )
        if reason:
            first = settings[0]
            self._note(
                f"does not open at {first.rate} Hz with {first.channels} channel(s) ({reason}); "
                f"opened at {self._setting.rate} Hz with {self._setting.channels}"
            )
        self.sample_rate = self._setting.rate
        self._mix = ChannelMix(self._setting.channels, channel, name=self.name, notes=self.notes)
        self._buffer = max(1, round(buffer_seconds * self.sample_rate))
        self._ring = AudioRing(self._buffer, self._setting.channels)
        self._arrived = threading.Event()
        self._closed = False
        self._started = False
        self._device_overflows = 0
        self._next_time = 0.0
        # (time, samples since the device was opened) of the last callback: one tuple, so that
        # the reader never sees half of it.
        self._latest = (0.0, 0)
        self._given = 0
        self._patience = timeout_seconds * FIRST_PATIENCE
        self._zeros = self._silent = 0
        self._drift = DriftMeter(self.sample_rate)
        self._drift_told = False
        self._losses = self._overflows_seen = 0
        # The outage: when audio last came, and when the device is looked for next.
        self._gone_since: float | None = None
        self._resume_from: float | None = None
        self._retry_at = self._retry_seconds = 0.0

    @property
    def overflows(self) -> int:
        """How often audio was lost, in the device or because this program was too slow."""
        return self._device_overflows + self._ring.overflows

    @property
    def lost_samples(self) -> int:
        """Samples lost so far; the device's share is an estimate from time stamps or the clock."""
        return self._ring.lost

    @property
    def health(self) -> Health:
        """What went wrong so far."""
        return Health(
            self.overflows,
            self._losses,
            round(self.lost_samples / self.sample_rate, 3),
            round(self._silent / self.sample_rate, 3),
            None if self._drift.ppm is None else round(self._drift.ppm, 1),
        )

    def blocks(self) -> Iterator[Block]:
        """Audio as it comes, until close; waits in pieces, so that Ctrl-C works at once.

        Empty blocks come while there is no audio, about ten a second, so that a caller can look
        after other things.
        """
        self._start()
        most = max(1, round(TAKE_SECONDS * self.sample_rate))
        while True:
            self._arrived.clear()
            taken = self._ring.take(most)
            if taken is not None:
                frames, lost = taken
                self._watch_drift()
                self._watch_zeros(frames)
                samples = self._mix.push(frames)
                cause = "overflow" if self._gone_since is None else "device"
                self._watch_return()
                yield from self._after_loss(lost, cause, samples)
            elif self._closed:
                self._mix.flush()
                return
            elif not self._clock.wait(self._arrived, min(WAIT_SECONDS, self._timeout)):
                self._watch_device()
                yield Block(NOTHING)

    def close(self) -> None:
        """Stop and give the device back; blocks() then ends after what has already come."""
        if not self._closed:
            self._closed = True
            self._close_stream()
            self._arrived.set()

    def _callback(self) -> partial[None]:
        """The callback of the next stream: a stream that was given up cannot speak any more."""
        self._number += 1
        return partial(self._on_audio, self._number)

    def _start(self) -> None:
        if self._started or self._closed:
            return
        self._started = True
        self._latest = (self._clock.now(), 0)
        try:
            self._stream.start()
        except self._backend.PortAudioError as error:
            words = " ".join(str(error).split())
            raise AudioError(f"{self.name}: does not start ({words})") from error

    def _on_audio(self, number: int, frames: Floats, count: int, when: Any, status: Any) -> None:
        """The sound card's thread: copy and go, nothing slow."""
        if number != self._number:
            return
        now = self._clock.now()
        lost = 0
        if status.input_overflow:
            self._device_overflows += 1
            lost = self._missing(when.inputBufferAdcTime, count)
        if self._resume_from is not None:
            lost = max(0, round((now - self._resume_from) * self.sample_rate) - count)
            self._resume_from = None
        self._next_time = when.inputBufferAdcTime + count / self.sample_rate
        self._given += count
        self._ring.push(frames, lost)
        self._latest = now, self._given
        self._patience = self._timeout
        self._arrived.set()

    def _missing(self, begins: float, count: int) -> int:
        """Samples that the device lost before the ones that begin at `begins`.

        PortAudio tells that there was a loss but not how large; without useful time stamps one
        callback's worth is assumed.
        """
        missing = round((begins - self._next_time) * self.sample_rate)
        known = self._next_time > 0 and 0 < missing <= 10 * self.sample_rate
        return missing if known else count

    def _after_loss(self, lost: int, cause: str, samples: Floats) -> Iterator[Block]:
        if lost and self._on_overflow == "fail":
            raise AudioError(
                f"{self.name}: {lost} samples ({lost / self.sample_rate:.3f} s) were lost; "
                "the machine is too slow or too busy"
            )
        if self._on_overflow == "fill" and lost <= self._buffer:
            piece = max(1, round(TAKE_SECONDS * self.sample_rate))
            for begin in range(0, lost, piece):
                yield Block(np.zeros(min(piece, lost - begin), np.float32))
            lost = 0
        yield Block(samples, lost, cause)

    def _watch_device(self) -> None:
        """Called while no audio comes: give a dead device up, or look for it again."""
        now = self._clock.now()
        if self._closed:
            return
        if self._stream is None:
            if now >= self._retry_at:
                self._try_again()
            return
        active = self._is_active()
        if active and now - self._latest[0] <= self._patience:
            return
        since = f"for {self._patience:g} s" if active else "any more"
        why = "is it unplugged, or in use by another program?"
        never = not self._given and self._gone_since is None
        if never or not self._reopen:
            raise AudioError(f"no audio from {self.name} {since}; {why}")
        if self._gone_since is None:
            self._losses += 1
            self._gone_since = self._latest[0]
            self._retry_seconds = FIRST_RETRY_SECONDS
            self._retry_at = now
            self._note(f"no audio {since}; {why} It is opened again as soon as it is there")
        else:
            # It opened again but stays silent.
            self._wait_longer()
        with quiet_stderr():
            self._close_stream()

    def _try_again(self) -> None:
        try:
            found = [d for d in list_devices(self._backend) if d.name == self.name]
            if not found:
                raise AudioError(f"{self.name}: is not there")
            stream, _, _ = open_input(
                self._backend,
                {"index": found[0].index, "name": self.name},
                # Another rate in the middle of a stream would surprise whoever reads the blocks.
                [self._setting],
                self._callback(),
            )
            self._given = 0
            self._latest = (self._clock.now(), 0)
            self._patience = self._timeout * FIRST_PATIENCE
            self._resume_from = self._gone_since
            self._next_time = 0.0
            self._stream = stream
            if self._closed:
                # By another thread, while the device was being opened.
                self._close_stream()
                return
            stream.start()
        except (AudioError, self._backend.PortAudioError, ValueError):
            self._wait_longer()
            with quiet_stderr():
                self._close_stream()
                self._look_anew()

    def _is_active(self) -> bool:
        """Whether PortAudio still runs the stream; one that it ended never says anything again."""
        try:
            return bool(self._stream.active)
        except self._backend.PortAudioError:
            return False

    def _wait_longer(self) -> None:
        self._retry_at = self._clock.now() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)

    def _look_anew(self) -> None:
        """PortAudio lists devices once: one that was plugged in again is seen only after this."""
        try:
            self._backend._terminate()
            self._backend._initialize()
        except self._backend.PortAudioError:
            # No sound system at all at the moment; the next attempt looks again.
            pass

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        # From now on what it says is ignored, even if closing it takes long.
        self._number += 1
        if stream is not None:
            stream.close()

    def _watch_return(self) -> None:
        if self._gone_since is not None:
            gone = self._latest[0] - self._gone_since
            self._gone_since = None
            self._drift.reset()
            self._note(f"audio again after {gone:.3g} s")

    def _watch_drift(self) -> None:
        if self._overflows_seen != self._device_overflows:
            self._overflows_seen = self._device_overflows
            self._drift.reset()
        if self._gone_since is not None:
            return
        self._drift.push(*self._latest)
        seconds, ppm = self._drift.seconds or 0.0, self._drift.ppm or 0.0
        if abs(seconds) > DRIFT_SECONDS and abs(ppm) > DRIFT_PPM and not self._drift_told:
            self._drift_told = True
            why = (
                "its clock is fast"
                if seconds > 0
                else "its clock is slow, or audio is missing that it did not report"
            )
            self._note(
                f"gave {abs(seconds):.2f} s too {'much' if seconds > 0 else 'little'} audio for "
                f"the time that passed ({ppm:+.0f} ppm): {why}; times of events count its samples"
            )

    def _watch_zeros(self, frames: Floats) -> None:
        before = self._zeros
        self._zeros = 0 if frames.any() else before + len(frames)
        limit = self._timeout * self.sample_rate
        if self._zeros > limit:
            self._silent += len(frames) if before > limit else self._zeros
        if before <= limit < self._zeros and not any("digital silence" in n for n in self.notes):
            self._note(
                f"nothing but exact zeros for {self._timeout:g} s (digital silence); "
                "is it muted, unplugged, or is this program not allowed to listen?"
            )

    def _note(self, words: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(f"{self.name}: {words}")
