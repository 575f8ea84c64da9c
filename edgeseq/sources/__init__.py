"""Where input comes from: files, pipes, microphones and texts, one kind of source for all."""

from .base import Block, Source
from .devices import Device, list_devices
from .formats import FORMATS
from .microphone import Health, Microphone
from .opening import open_audio, open_text
from .pace import realtime
from .pcm import PcmDecoder, PcmSource
from .resample import Resampler
from .text import TextSource
from .wav import WavSource

__all__ = [
    "FORMATS",
    "Block",
    "Device",
    "Health",
    "Microphone",
    "PcmDecoder",
    "PcmSource",
    "Resampler",
    "Source",
    "TextSource",
    "WavSource",
    "list_devices",
    "open_audio",
    "open_text",
    "realtime",
]
