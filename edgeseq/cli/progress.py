"""How far a long command has come, on stderr."""

from __future__ import annotations

import sys

from .lines import visible

__all__ = ["Progress"]

WIDTH = 20


class Progress:
    """A bar in a terminal, else a line for each new thing.

    Nothing moves by itself: an animation would take a part of the machine that is measured.
    """

    def __init__(self) -> None:
        """Write nothing yet."""
        self._tty = sys.stderr is not None and sys.stderr.isatty()
        self._last = ""

    def tell(self, done: float, total: float, words: str) -> None:
        """`done` of `total` (0: nobody knows) are behind us, and `words` is what happens now."""
        words = visible(words)
        if self._tty:
            filled = int(WIDTH * done / total) if total else 0
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] " if total else ""
            self._write(f"\r\x1b[K{bar}{words}", "")
        elif words != self._last:
            self._write(words, "\n")
        self._last = words

    def end(self) -> None:
        """Take the bar away."""
        if self._tty:
            self._write("\r\x1b[K", "")

    def _write(self, text: str, end: str) -> None:
        if sys.stderr is not None:
            print(text, end=end, file=sys.stderr, flush=True)
