"""Input devices through PortAudio: which there are, and opening one by a setting that it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import AudioError, ConfigError, MissingExtraError
from .channels import Channel

__all__ = ["Backend", "Device", "Setting", "find_device", "list_devices", "open_input", "portaudio"]


class Backend(Protocol):
    """The few names of the module sounddevice that are used, so that another can stand in."""

    PortAudioError: type[Exception]

    def query_devices(self, device: Any = None, kind: Any = None) -> Any:
        """All devices, or one, as mappings."""

    def InputStream(self, **settings: Any) -> Any:
        """An input stream with start, close and active, which calls `callback`."""

    def _initialize(self) -> None:
        """Look for devices; what was found is kept until _terminate."""

    def _terminate(self) -> None:
        """Close every stream and forget the devices."""


@dataclass(frozen=True, slots=True)
class Device:
    """One input device: what to pass as `device`, and what it offers."""

    index: int
    name: str
    channels: int
    sample_rate: int
    is_default: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """How a device was opened: samples a second, channels, and samples in one callback."""

    rate: int
    channels: int
    block: int


def list_devices(backend: Backend | None = None) -> list[Device]:
    """All devices that can record."""
    backend = backend or portaudio()
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


def find_device(backend: Backend, device: int | str | None) -> Any:
    """The device's facts as PortAudio gives them; AudioError names those that there are."""
    if isinstance(device, str) and device.isdecimal():
        device = int(device)
    try:
        return backend.query_devices(device, "input")
    except (backend.PortAudioError, ValueError) as error:
        found = ", ".join(f"{d.index} {d.name!r}" for d in list_devices(backend))
        what = "default input device" if device is None else f"input device {device!r}"
        raise AudioError(f"no {what}; there are: {found or 'no microphones at all'}") from error


def settings_for(info: Any, rate: int, channel: Channel, block_seconds: float) -> list[Setting]:
    """Settings to try, best first: the wanted rate, then the device's own."""
    own_rate, own_channels = round(info["default_samplerate"]), info["max_input_channels"]
    wanted = 1 if channel == "mix" else channel + 1
    # Asked for one channel of two, ALSA gives the left one: a voice on the right would be lost.
    if channel == "mix" and own_channels == 2:
        wanted = 2
    if not 0 < wanted <= own_channels:
        raise ConfigError(
            f"{info['name']}: channel {channel!r} does not exist; it has {own_channels}, "
            "counted from 0"
        )
    pairs = dict.fromkeys((r, c) for r in (rate, own_rate) for c in (wanted, own_channels))
    return [Setting(r, c, max(1, round(block_seconds * r))) for r, c in pairs]


def open_input(
    backend: Backend, info: Any, settings: list[Setting], callback: Callable[..., None]
) -> tuple[Any, Setting, str]:
    """The stream, the first of `settings` that the device took, and why not the one before."""
    reason = ""
    for setting in settings:
        try:
            with quiet_stderr():
                stream = backend.InputStream(
                    samplerate=setting.rate,
                    channels=setting.channels,
                    blocksize=setting.block,
                    device=info["index"],
                    dtype="float32",
                    # "low" lost audio on PulseAudio; a chunk of the model costs more than this.
                    latency="high",
                    callback=callback,
                )
        except backend.PortAudioError as error:
            reason = " ".join(str(error).split())
            continue
        return stream, setting, reason
    tried = ", ".join(f"{s.rate} Hz x {s.channels}" for s in settings)
    raise AudioError(f"{info['name']}: does not open ({reason}); tried {tried}")


def portaudio() -> Backend:
    """The module sounddevice; an error says what to install."""
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
def quiet_stderr() -> Iterator[None]:
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
