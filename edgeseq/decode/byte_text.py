"""Text read byte by byte: whole characters, their information, and the byte expected next."""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import StateError
from ..events import Event, Token
from .base import Logits

__all__ = ["ByteDecoder"]

BYTE_VALUES = 256


class ByteDecoder:
    """Emits a Token for each character read; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        """Read from the beginning of a text."""
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self.reset()

    def reset(self, output: int = 0) -> None:
        """Forget everything; the next byte has number `output`."""
        self._count = output
        self._utf8.reset()
        # Information of the bytes of the unfinished character; None where nothing foresaw them.
        self._bits: list[float | None] = []
        self._expected: npt.NDArray[np.float64] | None = None

    def push(self, logits: Logits, x: npt.NDArray[np.generic]) -> list[Event]:
        """Characters that the bytes `x` `[1, n, 1]` complete; `logits` `[n, 256]` follow them."""
        events: list[Event] = []
        values = x.reshape(-1).tolist()
        for byte, row in zip(values, logits, strict=True):
            self._bits.append(None if self._expected is None else float(self._expected[byte]))
            self._expected = _information(row)
            self._count += 1
            self._read(self._utf8.decode(bytes((byte,))), events)
        return events

    def _read(self, text: str, events: list[Event]) -> None:
        # One byte can end several characters: a broken one (the bytes before it), and others of
        # one byte each. Bytes that begin another character go on waiting.
        ended = len(self._bits) - len(self._utf8.getstate()[0])
        for i, character in enumerate(text):
            length = ended - len(text) + 1 if i == 0 else 1
            events.append(self._token(character, length))

    def _token(self, text: str, length: int) -> Token:
        end = self._count - (len(self._bits) - length)
        bits = self._bits[:length]
        del self._bits[:length]
        known = [value for value in bits if value is not None]
        total = sum(known) if len(known) == length else None
        # With bytes left over, what is expected next is not what follows this character.
        best = "" if self._bits or self._expected is None else int(np.argmin(self._expected))
        return Token(float(end), text, total, _printable(best))

    def flush(self) -> list[Event]:
        """The character that was cut off at the end, as U+FFFD."""
        events: list[Event] = []
        self._read(self._utf8.decode(b"", final=True), events)
        self._utf8.reset()
        return events

    def state(self) -> dict[str, object]:
        """Everything the decoder remembers, as plain JSON values."""
        return {
            "output": self._count,
            "bytes": list(self._utf8.getstate()[0]),
            "bits": list(self._bits),
            "expected": None if self._expected is None else self._expected.tolist(),
        }

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from what `state` gave."""
        values = cast(dict[str, Any], state)
        if sorted(values) != sorted(self.state()) or len(values["bytes"]) != len(values["bits"]):
            raise StateError("decoder state does not fit a byte model")
        expected = values["expected"]
        if expected is not None and len(expected) != BYTE_VALUES:
            raise StateError(f"decoder state: 'expected' must be a list of {BYTE_VALUES}")
        self._count = values["output"]
        self._utf8.setstate((bytes(values["bytes"]), 0))
        self._bits = list(values["bits"])
        self._expected = None if expected is None else np.array(expected)


def _information(row: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """Bits each byte value would carry, `-log2 softmax`; None when the logits are no numbers."""
    if not np.isfinite(row).all():
        return None
    wide = row.astype(np.float64)
    wide -= np.maximum.reduce(wide)
    total = float(np.add.reduce(np.exp(wide)))
    return (math.log(total) - wide) / math.log(2.0)


def _printable(byte: int | str) -> str:
    text = chr(byte) if isinstance(byte, int) and byte < 128 else ""
    return text if text.isprintable() else ""
