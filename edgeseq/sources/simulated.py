"""A sound card that follows a script: what real ones do once a week, on demand.

It stands in for the module sounddevice and for the clock, so that an hour passes in a moment and
every run is the same.
"""

from __future__ import annotations

import math
import threading
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..strict import Fields
from .base import Floats

__all__ = ["Fault", "Script", "SimulatedCard"]

KINDS = ("burst", "overflow", "stall", "unplug", "zeros")
SIGNALS = ("both", "left", "right", "opposite", "zeros")
TONE_HZ = 440.0


class RefusedError(Exception):
    """What the card's PortAudio raises."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong from second `at` on, for `seconds`.

    Attributes:
        kind: `burst` (audio is held back, then comes at once), `overflow` (it is lost, and the
            device says so), `stall` (it is lost without a word), `unplug` (callbacks end for good,
            and the device cannot be opened), `zeros` (exact zeros come).
        at: seconds after the card was made.
        seconds: how long.
    """

    kind: str
    at: float
    seconds: float

    def covers(self, time: float) -> bool:
        """Whether it goes on at `time`."""
        return self.at <= time < self.at + self.seconds


@dataclass(frozen=True, slots=True)
class Script:
    """One input device and what happens to it.

    Attributes:
        name: name of the device.
        rate: its own samples a second.
        channels: its own channels.
        takes: (rate, channels) that it opens with; empty for its own rate and any channels.
        signal: which channels carry a tone: both, left, right, opposite (phase) or zeros (none).
        drift_ppm: how much its clock is fast, in millionths.
        seconds: length of the simulation.
        faults: what goes wrong.
    """

    name: str = "Simulated Mic"
    rate: int = 48000
    channels: int = 2
    takes: tuple[tuple[int, int], ...] = ()
    signal: str = "both"
    drift_ppm: float = 0.0
    seconds: float = 10.0
    faults: tuple[Fault, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Script:
        """The script in a TOML file; ConfigError names the place that is wrong."""
        try:
            return Fields(tomllib.loads(path.read_text(encoding="utf-8")), str(path)).all(_script)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            where = "" if str(path) in str(error) else f"{path}: "
            raise ConfigError(f"{where}{error}") from None


def _script(f: Fields) -> Script:
    return Script(
        name=f.text("name"),
        rate=f.whole("rate", 1000),
        channels=f.whole("channels", 1),
        takes=f.items("takes", lambda g: (g.whole("rate", 1000), g.whole("channels", 1))),
        signal=f.text("signal", SIGNALS),
        drift_ppm=f.number("drift_ppm", -1e5, 1e5),
        seconds=f.number("seconds", 0.1, 1e5),
        faults=f.items(
            "faults",
            lambda g: Fault(
                g.text("kind", KINDS), g.number("at", 0, 1e5), g.number("seconds", 0, 1e5)
            ),
        ),
    )


class SimulatedCard:
    """The device of a Script, as a Backend and as the Clock of its Microphone.

    Attributes:
        script: what happens.
        opened: every (rate, channels) that was asked for, in order.
    """

    PortAudioError: type[Exception] = RefusedError

    def __init__(self, script: Script, audio: Floats | None = None) -> None:
        """Play `audio` (mono, at the script's rate, then silence) in place of the tone."""
        self.script = script
        self.opened: list[tuple[int, int]] = []
        self._audio = audio
        self._now = 0.0
        self._stream: SimulatedStream | None = None

    def now(self) -> float:
        """Seconds since the card was made."""
        return self._now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let time pass until `event`, at most `seconds`."""
        end = self._now + seconds
        while not event.is_set() and self._step(end):
            pass
        return event.is_set()

    def work(self, seconds: float) -> None:
        """Let time pass as a program that computes for `seconds` would."""
        end = self._now + seconds
        while self._step(end):
            pass

    def query_devices(self, device: Any = None, kind: Any = None) -> Any:
        """As sounddevice does: ValueError for a name, PortAudioError for no default."""
        info = {
            "index": 0,
            "name": self.script.name,
            "max_input_channels": self.script.channels,
            "default_samplerate": float(self.script.rate),
        }
        there = [] if self._gone() else [info]
        if device is None and kind is None:
            return there
        if not there:
            raise RefusedError("Error querying device -1")
        if device is not None and device != 0 and str(device) not in self.script.name:
            raise ValueError(f"No input device matching {device!r}")
        return info

    def InputStream(self, **settings: Any) -> SimulatedStream:
        """Open, or refuse as PortAudio does."""
        setting = (settings["samplerate"], settings["channels"])
        self.opened.append(setting)
        script = self.script
        own = setting[0] == script.rate and setting[1] <= script.channels
        if self._gone() or not (setting in script.takes if script.takes else own):
            raise RefusedError("Error opening InputStream: Invalid sample rate [PaErrorCode -9997]")
        return SimulatedStream(self, settings)

    def _initialize(self) -> None:
        """Devices are looked up anew each time."""

    def _terminate(self) -> None:
        """Every stream ends."""
        self._stream = None

    def _gone(self) -> bool:
        return any(f.kind == "unplug" and f.covers(self._now) for f in self.script.faults)

    def _step(self, end: float) -> bool:
        """Go to the next callback, or to `end`; whether there was one."""
        stream = self._stream
        due = math.inf if stream is None else stream.due()
        # A callback that was held back is overdue: time does not run backwards for it.
        self._now = max(self._now, min(due, end))
        if due > end or stream is None:
            return False
        stream.deliver()
        return True

    def sound(self, begin: int, count: int, rate: int, channels: int) -> Floats:
        """Samples `[count, channels]` that a stream at `rate` hears from sample `begin` on."""
        frames = np.zeros((count, channels), np.float32)
        index = np.arange(begin, begin + count)
        if self._audio is not None:
            there = index < len(self._audio)
            frames[there] = self._audio[index[there], None]
        elif self.script.signal != "zeros":
            tone = (0.5 * np.sin(2 * np.pi * TONE_HZ * index / rate)).astype(np.float32)
            frames[:, 0] = 0 if self.script.signal == "right" else tone
            if channels > 1:
                sign = {"left": 0, "opposite": -1}.get(self.script.signal, 1)
                frames[:, 1] = np.float32(sign) * tone
        return frames


class SimulatedStream:
    """An open input stream of a SimulatedCard.

    Attributes:
        active: true for ever: a real driver does not tell either that its device is gone.
    """

    def __init__(self, card: SimulatedCard, settings: dict[str, Any]) -> None:
        """Open with the keyword arguments of sounddevice.InputStream."""
        self.active = True
        self._card = card
        self._rate: int = settings["samplerate"]
        self._channels: int = settings["channels"]
        self._block: int = settings["blocksize"]
        self._callback = settings["callback"]
        # Samples of the device in one true second: its clock decides.
        self._speed = self._rate * (1 + card.script.drift_ppm / 1e6)
        self._next = 0
        self._flag = False

    def start(self) -> None:
        """Begin to hear."""
        self._next = round(self._card.now() * self._speed)
        self._card._stream = self

    def close(self) -> None:
        """Hear no more."""
        if self._card._stream is self:
            self._card._stream = None

    def due(self) -> float:
        """When the next callback comes; never, once the device was unplugged."""
        while True:
            time: float = (self._next + self._block) / self._speed
            fault = next((f for f in self._card.script.faults if f.covers(time)), None)
            if fault is None or fault.kind == "zeros":
                return time
            if fault.kind == "unplug":
                return math.inf
            end = fault.at + fault.seconds
            if fault.kind == "burst":
                return end
            # What lies in a stall or an overflow is lost.
            self._flag = self._flag or fault.kind == "overflow"
            self._next += max(1, math.ceil((end - time) * self._speed))

    def deliver(self) -> None:
        """Call the callback with the next block."""
        time = (self._next + self._block) / self._speed
        frames = self._card.sound(self._next, self._block, self._rate, self._channels)
        if any(f.kind == "zeros" and f.covers(time) for f in self._card.script.faults):
            frames[:] = 0
        begins = SimpleNamespace(inputBufferAdcTime=1.0 + self._next / self._rate)
        status = SimpleNamespace(input_overflow=self._flag)
        self._next += self._block
        self._flag = False
        self._callback(frames, len(frames), begins, status)
