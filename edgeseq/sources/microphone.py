"""A microphone, through PortAudio."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ..errors import AudioError, ConfigError, MissingExtraError
from .base import Block, Floats
from .channels import Channel, ChannelMix
from .pcm import check_rate
from .ring import AudioRing

__all__ = ["Backend", "Device", "Microphone", "OnOverflow", "list_devices"]

OnOverflow = Literal["mark", "fill", "fail"]

WAIT_SECONDS = 0.1
"""Longest wait in one piece: Windows delivers Ctrl-C only between waits."""

FIRST_PATIENCE = 2.5
"""The first audio may take this times as long: a sleeping PulseAudio needed up to 1.9 s."""

TAKE_SECONDS = 1.0
"""Most audio in one block after the program fell behind."""


class Backend(Protocol):
    """The few names of the module sounddevice that are used, so that a test can stand in."""

    PortAudioError: type[Exception]

    def query_devices(self, device: Any = None, kind: Any = None) -> Any:
        """All devices, or one, as mappings."""

    def InputStream(self, **settings: Any) -> Any:
        """An input stream with start and close, which calls `callback`."""


@dataclass(frozen=True, slots=True)
class Device:
    """One input device: what to pass as `device`, and what it offers."""

    index: int
    name: str
    channels: int
    sample_rate: int
    is_default: bool


def list_devices(backend: Backend | None = None) -> list[Device]:
    """All devices that can record."""
    backend = backend or _portaudio()
    try:
        default = backend.query_devices(kind="input")["index"]
    except (backend.PortAudioError, ValueError):
        default = None
    return [
        Device(
            info["index"],
            info["name"],
            info["max_input_channels"],
            round(info["default_samplerate"]),
            info["index"] == default,
        )
        for info in backend.query_devices()
        if info["max_input_channels"] > 0
    ]


class Microphone:
    """Audio of an input device as it comes; see Source for the attributes.

    The device is opened at once and listened to from the first `blocks()` on. A device that refuses
    the wanted rate is opened at its own: `sample_rate` is what was really opened.
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
        backend: Backend | None = None,
    ) -> None:
        """Open `device` (a number, a part of its name, or None for the default).

        Args:
            rate: wanted samples a second.
            device: see `list_devices`.
            channel: an index from 0, or "mix" for the mean of all channels.
            block_seconds: audio that the device hands over at a time.
            buffer_seconds: audio kept while the program is busy; more than that is lost.
            on_overflow: what to do about lost audio: "mark" sets `Block.lost`, "fill" puts zeros
                in its place, "fail" raises AudioError.
            timeout_seconds: without audio for so long, blocks() raises AudioError.
            backend: the module sounddevice, or something like it.
        """
        if on_overflow not in ("mark", "fill", "fail"):
            raise ConfigError(f"on_overflow is {on_overflow!r}; allowed are mark, fill and fail")
        for option, value in (("block", block_seconds), ("buffer", buffer_seconds)):
            if not value > 0:
                raise ConfigError(f"{option}_seconds is {value}; it must be above 0")
        check_rate(rate, "microphone")
        self.notes: list[str] = []
        self._backend = backend or _portaudio()
        info = self._find(device)
        self.name: str = info["name"]
        self._block_seconds = block_seconds
        self._on_overflow = on_overflow
        self._timeout = timeout_seconds
        self._stream, self.sample_rate, self._channels = self._open(info, rate, channel)
        self._mix = ChannelMix(self._channels, channel, name=self.name, notes=self.notes)
        self._ring = AudioRing(max(1, round(buffer_seconds * self.sample_rate)), self._channels)
        self._arrived = threading.Event()
        self._closed = False
        self._started = False
        self._device_overflows = 0
        self._next_time = 0.0
        self._heard = 0.0
        self._patience = timeout_seconds * FIRST_PATIENCE
        self._zeros = 0

    @property
    def overflows(self) -> int:
        """How often audio was lost, in the device or because this program was too slow."""
        return self._device_overflows + self._ring.overflows

    @property
    def lost_samples(self) -> int:
        """Samples lost so far; the device's share is an estimate from its time stamps."""
        return self._ring.lost

    def blocks(self) -> Iterator[Block]:
        """Audio as it comes, until close; waits in pieces, so that Ctrl-C works at once."""
        self._start()
        most = max(1, round(TAKE_SECONDS * self.sample_rate))
        while True:
            self._arrived.clear()
            taken = self._ring.take(most)
            if taken is not None:
                frames, lost = taken
                self._watch_zeros(frames)
                yield from self._after_loss(lost, self._mix.push(frames))
            elif self._closed:
                self._mix.flush()
                return
            elif not self._arrived.wait(min(WAIT_SECONDS, self._timeout)):
                self._watch_clock()

    def close(self) -> None:
        """Stop and give the device back; blocks() then ends after what has already come."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._arrived.set()

    def _find(self, device: int | str | None) -> Any:
        if isinstance(device, str) and device.isdecimal():
            device = int(device)
        try:
            info = self._backend.query_devices(device, "input")
        except (self._backend.PortAudioError, ValueError) as error:
            found = ", ".join(f"{d.index} {d.name!r}" for d in list_devices(self._backend))
            what = "default input device" if device is None else f"input device {device!r}"
            raise AudioError(f"no {what}; there are: {found or 'no microphones at all'}") from error
        return info

    def _open(self, info: Any, rate: int, channel: Channel) -> tuple[Any, int, int]:
        """The stream, its rate and its channels, by the first setting that the device takes."""
        own_rate, own_channels = round(info["default_samplerate"]), info["max_input_channels"]
        wanted = 1 if channel == "mix" else channel + 1
        # Asked for one channel of two, ALSA gives the left one: a voice on the right would be lost.
        if channel == "mix" and own_channels == 2:
            wanted = 2
        if not 0 < wanted <= own_channels:
            raise ConfigError(
                f"{self.name}: channel {channel!r} does not exist; it has {own_channels}, "
                "counted from 0"
            )
        settings = dict.fromkeys((r, c) for r in (rate, own_rate) for c in (wanted, own_channels))
        reason = ""
        for open_rate, open_channels in settings:
            try:
                with _quiet_stderr():
                    stream = self._backend.InputStream(
                        samplerate=open_rate,
                        channels=open_channels,
                        blocksize=max(1, round(self._block_seconds * open_rate)),
                        device=info["index"],
                        dtype="float32",
                        # "low" lost audio on PulseAudio; a chunk of the model costs more than this.
                        latency="high",
                        callback=self._on_audio,
                    )
            except self._backend.PortAudioError as error:
                reason = " ".join(str(error).split())
                continue
            if reason:
                self.notes.append(
                    f"{self.name}: does not open at {rate} Hz with {wanted} channel(s) ({reason}); "
                    f"opened at {open_rate} Hz with {open_channels}"
                )
            return stream, open_rate, open_channels
        tried = ", ".join(f"{r} Hz x {c}" for r, c in settings)
        raise AudioError(f"{self.name}: does not open ({reason}); tried {tried}")

    def _start(self) -> None:
        if self._started or self._closed:
            return
        self._started = True
        self._heard = time.monotonic()
        try:
            self._stream.start()
        except self._backend.PortAudioError as error:
            words = " ".join(str(error).split())
            raise AudioError(f"{self.name}: does not start ({words})") from error

    def _on_audio(self, frames: Floats, count: int, when: Any, status: Any) -> None:
        """The sound card's thread: copy and go, nothing slow."""
        lost = 0
        if status.input_overflow:
            self._device_overflows += 1
            lost = self._missing(when.inputBufferAdcTime, count)
        self._next_time = when.inputBufferAdcTime + count / self.sample_rate
        self._ring.push(frames, lost)
        self._heard = time.monotonic()
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

    def _after_loss(self, lost: int, samples: Floats) -> Iterator[Block]:
        if lost and self._on_overflow == "fail":
            raise AudioError(
                f"{self.name}: {lost} samples ({lost / self.sample_rate:.3f} s) were lost; "
                "the machine is too slow or too busy"
            )
        if self._on_overflow == "fill":
            piece = max(1, round(TAKE_SECONDS * self.sample_rate))
            for begin in range(0, lost, piece):
                yield Block(np.zeros(min(piece, lost - begin), np.float32))
            lost = 0
        yield Block(samples, lost)

    def _watch_clock(self) -> None:
        if not self._closed and time.monotonic() - self._heard > self._patience:
            raise AudioError(
                f"no audio from {self.name} for {self._patience:g} s; is it unplugged, or in use "
                "by another program?"
            )

    def _watch_zeros(self, frames: Floats) -> None:
        before = self._zeros
        self._zeros = 0 if frames.any() else before + len(frames)
        limit = self._timeout * self.sample_rate
        if before <= limit < self._zeros and not any("digital silence" in n for n in self.notes):
            self.notes.append(
                f"{self.name}: nothing but exact zeros for {self._timeout:g} s (digital silence); "
                "is it muted, unplugged, or is this program not allowed to listen?"
            )


def _portaudio() -> Backend:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("sounddevice", "mic", "the microphone") from error
    except OSError as error:
        raise AudioError(
            "the microphone needs the library PortAudio, which is not there; install it with: "
            "sudo apt install libportaudio2, or brew install portaudio"
        ) from error
    backend: Backend = sounddevice
    return backend


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep ALSA and PortAudio from writing to stderr: a refused rate prints twenty lines of C."""
    try:
        saved = os.dup(2)
    except OSError:
        # No stderr at all, as under pythonw.
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
