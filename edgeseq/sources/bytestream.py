"""Reads a file, pipe or socket as it comes, with a look at its first bytes."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import AudioError

__all__ = ["IDLE_SECONDS", "ByteStream"]

SKIP_BYTES = 65536

IDLE_SECONDS = 0.1
"""A live source that has nothing for so long says so, by an empty block."""


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
        # Below the buffer of a pipe: read(n) of the buffer waits until all n bytes are there, and
        # what it holds back would be invisible to ready().
        raw = getattr(stream, "raw", stream)
        self._read: Callable[[int], bytes | None] = getattr(raw, "read1", raw.read)
        self._poll = _poll_of(raw)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, left in place; fewer only at the end of the stream."""
        while len(self._head) < count:
            data = self._read_from_stream(count - len(self._head))
            if not data:
                break
            self._head += data
        return self._head[:count]

    def ready(self, seconds: float) -> bool:
        """Whether a read gives something at once (the end too), after waiting up to `seconds`.

        True as well where that cannot be known, such as for pipes on Windows.
        """
        return bool(self._head) or self._poll is None or bool(self._poll.poll(1000 * seconds))

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
            # None: a pipe that somebody made non-blocking has nothing at the moment.
            while (data := self._read(most)) is None:
                self.ready(1.0)
            return data
        except OSError as error:
            raise AudioError(f"{self.name}: cannot be read: {error.strerror or error}") from error


def _poll_of(raw: Any) -> Any:
    """What waits for input of a file or pipe; None where nothing can."""
    try:
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
    except (OSError, AttributeError):
        return None
    return poll
