"""FLAC, Ogg, MP3 and the rest of libsndfile, when soundfile is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ..errors import AudioError, MissingExtraError
from .base import Block
from .channels import Channel, ChannelMix
from .pcm import BLOCK_SECONDS

__all__ = ["CodedSource"]

UNKNOWN_FRAMES = 1 << 40
"""libsndfile gives a number beyond this when a file does not tell its length."""


class CodedSource:
    """Audio that libsndfile decodes; see Source for the attributes."""

    live = False

    def __init__(
        self, stream: BinaryIO, channel: Channel = "mix", *, name: str, kind: str = "this format"
    ) -> None:
        """Decode `stream`, which can seek and holds audio of the format `kind`."""
        try:
            import soundfile
        except ImportError as error:
            raise MissingExtraError("soundfile", "audio", f"reading {kind} ({name})") from error
        except OSError as error:
            raise AudioError(
                f"{name}: {kind} needs the library libsndfile, which does not load: {error}; "
                "install it with: sudo apt install libsndfile1, or brew install libsndfile"
            ) from error
        self.name = name
        self.notes: list[str] = []
        self._stream = stream
        self._kind = kind
        self._error: type[Exception] = soundfile.LibsndfileError
        try:
            self._file: Any = soundfile.SoundFile(stream)
        except self._error as error:
            raise self._broken(error) from error
        self.sample_rate: int = self._file.samplerate
        self._mix = ChannelMix(self._file.channels, channel, name=name, notes=self.notes)

    def blocks(self) -> Iterator[Block]:
        """Decoded samples, 0.1 s a block."""
        most = max(1, round(self.sample_rate * BLOCK_SECONDS))
        done = 0
        while True:
            try:
                frames = self._file.read(most, dtype="float32", always_2d=True)
            except self._error as error:
                raise self._broken(error) from error
            if not len(frames):
                break
            done += len(frames)
            yield Block(self._mix.push(frames))
        self._mix.flush()
        if not done:
            raise AudioError(f"{self.name}: {self._kind} without any audio")
        if done < self._file.frames < UNKNOWN_FRAMES:
            self.notes.append(
                f"{self.name}: cut short: {self._file.frames} samples expected, {done} are there"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._stream.close()

    def _broken(self, error: Exception) -> AudioError:
        words = " ".join(str(error).split())
        return AudioError(f"{self.name}: cannot be decoded as {self._kind}: {words}")
