"""Text as bytes: a file, a pipe or a string."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from .base import Block
from .bytestream import IDLE_SECONDS, ByteStream

__all__ = ["TextSource"]

BLOCK_BYTES = 4096


class TextSource:
    """The bytes of a text, unchanged; see Source for the attributes."""

    def __init__(
        self, stream: BinaryIO | ByteStream, *, name: str = "text stream", live: bool = False
    ) -> None:
        """Read from `stream`; nothing is read yet."""
        self.name = name
        self.sample_rate = None
        self.live = live
        self.notes: list[str] = []
        self._bytes = stream if isinstance(stream, ByteStream) else ByteStream(stream, name)

    @classmethod
    def from_string(cls, text: str | bytes, *, name: str = "text") -> TextSource:
        """The bytes of `text`, as UTF-8 when it is a str."""
        data = text.encode() if isinstance(text, str) else text
        return cls(io.BytesIO(data), name=name)

    def blocks(self) -> Iterator[Block]:
        """Bytes as they come, at most 4096 a block."""
        while True:
            while self.live and not self._bytes.ready(IDLE_SECONDS):
                yield Block(np.zeros(0, np.uint8))
            data = self._bytes.read_some(BLOCK_BYTES)
            if not data:
                break
            yield Block(np.frombuffer(data, np.uint8))

    def close(self) -> None:
        """Close the stream."""
        self._bytes.close()
