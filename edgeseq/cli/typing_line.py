"""The line that somebody types, as each model reads it, with the words that may follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError
from ..events import Token
from ..sources.typed import LineEditor
from ..stream import Stream
from ..suggest import Suggester, Suggestion
from .follow import Track

__all__ = ["Draft", "Typing"]


class Draft:
    """One model's reading of a line that may still change; the stream itself never hears of it.

    Attributes:
        tokens: the characters of the line, each with its surprise.
        words: what may come next, the likeliest first; empty for a model that cannot say.
    """

    def __init__(self, stream: Stream) -> None:
        """Read on a stream of its own, from wherever `stream` is."""
        self._stream = stream
        self._own = Stream(stream.session)
        try:
            self._suggester: Suggester | None = Suggester(stream.session)
        except ConfigError:
            # Exported with more than a byte a step: it can read along, but not finish a word.
            self._suggester = None
        self.tokens: list[Token] = []
        self.words: list[Suggestion] = []
        self._read: str | None = None
        self._at = -1.0

    def update(self, text: str) -> None:
        """Read the line as it stands now; what only grew is not read again."""
        at = self._stream.seconds
        if self._read is None or at != self._at or not text.startswith(self._read):
            self._own.restore(self._stream.state)
            self._at, self._read, self.tokens = at, "", []
        elif text == self._read:
            return
        events = self._own.push(text[len(self._read) :].encode())
        self.tokens += [event for event in events if isinstance(event, Token)]
        self._read = text
        self.words = self._suggest()

    def _suggest(self) -> list[Suggestion]:
        if self._suggester is None:
            return []
        state = self._own.state
        expected = state["decoder"]["expected"]
        return self._suggester.suggest(
            state["tensors"], None if expected is None else np.array(expected)
        )


class Typing:
    """The line at the keyboard, read by every model side by side.

    Attributes:
        editor: the line.
        drafts: its reading by each track, in their order.
    """

    def __init__(self, editor: LineEditor, tracks: Sequence[Track]) -> None:
        """Read along with `tracks`."""
        self.editor = editor
        self.drafts = [Draft(track.stream) for track in tracks]

    def update(self) -> None:
        """Read the line as it stands, and offer the first model's likeliest word."""
        for draft in self.drafts:
            draft.update(self.editor.text)
        words = self.drafts[0].words
        self.editor.offer = words[0].text if words else ""
