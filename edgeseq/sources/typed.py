"""Text as it is typed in a terminal: a line that can be mended, and is given when it is done."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import AudioError
from .base import Block
from .bytestream import IDLE_SECONDS, ByteStream

__all__ = ["LineEditor", "TypedSource"]

READ_BYTES = 4096

ENTER, TAB, END = "\r\n", "\t", "\x04"
BACKSPACE, KILL_LINE, KILL_WORD, ESCAPE = "\x7f\x08", "\x15", "\x17", "\x1b"

SEQUENCE = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*[@-~]|[^\[O])")
"""A key that sends several characters, such as an arrow."""
UNFINISHED = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*)?\Z")
RIGHT = re.compile(r"\x1b[\[O][0-9;]*C")

LONGEST_SEQUENCE = 32


class LineEditor:
    """Keys in, lines out.

    Enter ends a line, backspace takes a character back, Ctrl-W a word, Ctrl-U the line; Tab and the
    right arrow take `offer` in. Ctrl-D ends the text. How the keys are cut changes nothing.

    Attributes:
        text: the line as it stands.
        offer: text that Tab adds, set by whoever suggests it; gone with the next key.
        ended: whether Ctrl-D came.
    """

    def __init__(self) -> None:
        """Begin with an empty line."""
        self.text = ""
        self.offer = ""
        self.ended = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._keys = ""

    def push(self, data: bytes) -> list[str]:
        """Lines that the bytes `data` from the keyboard end, each with its line break."""
        self._keys += self._utf8.decode(data)
        lines: list[str] = []
        while self._keys and not self.ended:
            sequence = SEQUENCE.match(self._keys)
            if sequence:
                key = sequence.group()
            elif UNFINISHED.match(self._keys) and len(self._keys) < LONGEST_SEQUENCE:
                break
            else:
                key = self._keys[0]
            self._keys = self._keys[len(key) :]
            self._press(key, lines)
        return lines

    def flush(self) -> str:
        """The line that was not ended."""
        text, self.text = self.text, ""
        return text

    def _press(self, key: str, lines: list[str]) -> None:
        offer, self.offer = self.offer, ""
        if key in ENTER:
            lines.append(self.text + "\n")
            self.text = ""
        elif key == TAB or RIGHT.fullmatch(key):
            self.text += offer
        elif key == END:
            self.ended = True
        elif key in BACKSPACE:
            self.text = self.text[:-1]
        elif key == KILL_LINE:
            self.text = ""
        elif key == KILL_WORD:
            self.text = re.sub(r"\S*\s*\Z", "", self.text)
        elif key.isprintable():
            self.text += key


class TypedSource:
    """Lines from a terminal, whose keys come one by one; see Source for the attributes.

    Attributes:
        editor: the line that is being typed.
        changed: called after every change of it, and again when a line has been taken in.
    """

    sample_rate = None
    live = True
    name = "keyboard"

    def __init__(self, stream: Any = None) -> None:
        """Take the terminal behind `stream` (standard input); `close` gives it back as it was.

        Raises:
            AudioError: it is no terminal.
        """
        self.notes: list[str] = []
        self.editor = LineEditor()
        self.changed: Callable[[], None] = lambda: None
        self._before: list[Any] | None = None
        try:
            import termios
            import tty
        except ImportError as error:
            raise AudioError("typing needs a terminal of Linux or macOS; name a file") from error
        try:
            self._file = (stream or sys.stdin).fileno()
            self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        except (termios.error, OSError, ValueError, AttributeError) as error:
            raise AudioError(f"standard input is no terminal to type in ({error})") from error
        # Opened anew, so that nothing waits in the buffer of sys.stdin.
        self._keys = ByteStream(os.fdopen(os.dup(self._file), "rb", buffering=0), self.name)

    def blocks(self) -> Iterator[Block]:
        """A line, with its break, when Enter ends it; empty blocks while nothing is typed.

        The text begins behind a line break, as texts of `edgeseq generate` do.
        """
        yield _block("\n")
        self.changed()
        while not self.editor.ended:
            if not self._keys.ready(IDLE_SECONDS):
                yield Block(np.zeros(0, np.uint8))
                continue
            data = self._keys.read_some(READ_BYTES)
            if not data:
                break
            for line in self.editor.push(data):
                yield _block(line)
            self.changed()
        rest = self.editor.flush()
        if rest:
            yield _block(rest)
        self.changed()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._before is None:
            return
        import termios

        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
        self._before = None
        self._keys.close()


def _block(text: str) -> Block:
    return Block(np.frombuffer(text.encode(), np.uint8))
