"""A scripted sound card that stands in for the module sounddevice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt


class Refused(Exception):
    """Stands for sounddevice.PortAudioError."""


class Stream:
    """An input stream; the test decides when and what the callback hears."""

    def __init__(self, card: Card, **settings: Any) -> None:
        """Keep what was asked for."""
        self.card = card
        self.settings = settings
        self.rate: int = settings["samplerate"]
        self.channels: int = settings["channels"]
        self.heard = 0
        self.closed = False
        self.active = True

    def start(self) -> None:
        """Run the card's script, as the callback thread would."""
        if self.card.start_error:
            raise Refused(self.card.start_error)
        self.card.script(self)

    def close(self) -> None:
        """Count on being called once."""
        assert not self.closed
        self.closed = True

    def give(
        self, frames: npt.NDArray[Any], *, overflow: bool = False, missing: int | None = None
    ) -> None:
        """Call the callback; `missing` samples were lost by a device that keeps time stamps."""
        frames = np.asarray(frames, np.float32).reshape(-1, self.channels)
        self.heard += missing or 0
        begins = 0.0 if missing is None else 50 + self.heard / self.rate
        self.settings["callback"](
            frames,
            len(frames),
            SimpleNamespace(inputBufferAdcTime=begins),
            SimpleNamespace(input_overflow=overflow),
        )
        self.heard += len(frames)


class Card:
    """One input device (and one output) that takes only some settings."""

    PortAudioError: type[Exception] = Refused

    def __init__(
        self,
        takes: set[tuple[int, int]],
        *,
        rate: int = 48000,
        channels: int = 2,
        start_error: str = "",
    ) -> None:
        """A device of `rate` and `channels` that opens with the settings in `takes`."""
        self.takes = takes
        self.start_error = start_error
        self.opened: list[tuple[int, int]] = []
        self.streams: list[Stream] = []
        self.script = lambda stream: None
        self.devices: list[dict[str, Any]] = [
            {"index": 0, "name": "Speaker", "max_input_channels": 0, "default_samplerate": 48e3},
            {
                "index": 1,
                "name": "USB Mic",
                "max_input_channels": channels,
                "default_samplerate": float(rate),
            },
        ]

    @property
    def stream(self) -> Stream:
        """The stream that is open."""
        return self.streams[-1]

    def query_devices(self, device: Any = None, kind: Any = None) -> Any:
        """As sounddevice does: ValueError for a name, PortAudioError for no default."""
        if device is None and kind is None:
            return self.devices
        inputs = [d for d in self.devices if d["max_input_channels"]]
        if device is None:
            if not inputs:
                raise Refused("Error querying device -1")
            return inputs[0]
        found = [d for d in inputs if device == d["index"] or str(device) in d["name"]]
        if not found:
            raise ValueError(f"No input device matching {device!r}")
        return found[0]

    def _initialize(self) -> None:
        """Nothing to look for: the devices are those of the script."""

    def _terminate(self) -> None:
        """Nothing to forget."""

    def InputStream(self, **settings: Any) -> Stream:
        """Open, or refuse as PortAudio does."""
        setting = (settings["samplerate"], settings["channels"])
        self.opened.append(setting)
        if setting not in self.takes:
            raise Refused("Error opening InputStream: Invalid sample rate [PaErrorCode -9997]")
        self.streams.append(Stream(self, **settings))
        return self.stream
