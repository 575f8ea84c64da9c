"""Reads a file, pipe or socket as it comes, with a look at its first bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ..errors import AudioError

__all__ = ["ByteStream"]

SKIP_BYTES = 65536


class ByteStream:
    """Bytes of any binary stream; never waits for more than one byte when some are there.

    Works on pipes and sockets too: nothing here seeks.
    """

    def __init__(self, stream: BinaryIO, name: str, *, keep_open: bool = False) -> None:
        """Read from `stream`, which messages call `name`; `keep_open` makes close do nothing."""
        self.name = name
        self.stream = stream
        self.keep_open = keep_open
        self._head = b""
        # read(n) of a buffered pipe waits until all n bytes are there; read1 gives what has come.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, left in place; fewer only at the end of the stream."""
        while len(self._head) < count:
            data = self._read_from_stream(count - len(self._head))
            if not data:
                break
            self._head += data
        return self._head[:count]

    def read_some(self, most: int) -> bytes:
        """At least one byte and at most `most`, as soon as there are any; b"" at the end."""
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
            return data
        return self._read_from_stream(most)

    def read_exact(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end of the stream."""
        data = self.peek(count)
        self._head = self._head[len(data) :]
        return data

    def skip(self, count: int) -> bool:
        """Drop `count` bytes; False when the stream ends before that."""
        while count:
            data = self.read_some(min(count, SKIP_BYTES))
            if not data:
                return False
            count -= len(data)
        return True

    def read_all(self, most: int) -> bytes:
        """Everything that is left; a little more than `most` bytes when there is more."""
        parts, size = [], 0
        while size <= most and (data := self.read_some(SKIP_BYTES)):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def close(self) -> None:
        """Close the stream below."""
        if not self.keep_open:
            self.stream.close()

    def _read_from_stream(self, most: int) -> bytes:
        try:
            return self._read(most)
        except OSError as error:
            raise AudioError(f"{self.name}: cannot be read: {error.strerror or error}") from error
