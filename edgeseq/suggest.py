"""How a word goes on: the likeliest endings by a byte model, found by beam search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .generator import BYTE_VALUES, check_writes
from .runtime.session import Session

__all__ = ["Suggester", "Suggestion"]

END_BYTES = b' \n\t.,;:!?()[]"'
"""Bytes behind a word; an apostrophe is a part of it."""

ENDS = np.isin(np.arange(BYTE_VALUES), list(END_BYTES))
SPACE = 0x20


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text up to the end of a word, and the probability that exactly this comes next."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class _Path:
    """A beginning: its bytes, their information in nats, and the model behind them."""

    text: bytes
    cost: float
    expected: npt.NDArray[np.float64]
    tensors: Mapping[str, Any]


class Suggester:
    """Words that a byte model expects next.

    Several beginnings are followed at once, the likeliest ones (beam search); with `width` 1 the
    search is greedy. A word ends before a space, a line break or a mark; a suggestion may begin
    with a space when a word has just ended.
    """

    def __init__(self, session: Session, width: int = 3, longest: int = 24) -> None:
        """Prepare; ConfigError when the model writes no text.

        Args:
            session: a byte model of any backend.
            width: beginnings that are followed at once.
            longest: bytes after which a word is given up.
        """
        check_writes(session)
        self._stepper = session.stepper()
        self._width, self._longest = width, longest
        self._x = np.zeros((1, 1, 1), np.int64)

    def suggest(
        self, tensors: Mapping[str, Any], expected: npt.NDArray[np.floating[Any]] | None
    ) -> list[Suggestion]:
        """The likeliest words behind a place in a text, the likeliest first, `width` at most.

        Args:
            tensors: the model's state there.
            expected: information of each next byte `[256]`, in bits; without it there are no words.
        """
        if expected is None:
            return []
        beam = [_Path(b"", 0.0, np.asarray(expected, np.float64) * math.log(2.0), tensors)]
        words: dict[str, float] = {}
        for _ in range(self._longest):
            best = sorted(words.values())[: self._width]
            # A path only gets less likely: when it is worse than enough words, it is too late.
            beam = self._longer([p for p in beam if len(best) < self._width or p.cost < best[-1]])
            if not beam:
                break
            self._collect(beam, words)
        found = sorted(words.items(), key=lambda item: item[1])[: self._width]
        return [Suggestion(text, math.exp(-cost)) for text, cost in found]

    def _collect(self, beam: list[_Path], words: dict[str, float]) -> None:
        """Take the paths in that may end here, by the chance that they do."""
        for path in beam:
            if not path.text.strip():
                continue
            try:
                text = path.text.decode()
            except UnicodeDecodeError:
                continue
            if text.isprintable():
                words[text] = path.cost - float(np.logaddexp.reduce(-path.expected[ENDS]))

    def _longer(self, beam: list[_Path]) -> list[_Path]:
        """The likeliest paths of one byte more."""
        options = []
        for path in beam:
            costs = path.cost + path.expected
            closed = ENDS.copy()
            # A space may stand before the word, nothing else and no other.
            closed[SPACE] = bool(path.text)
            costs = np.where(closed, np.inf, costs)
            order = np.argsort(costs)[: self._width]
            options += [(costs[byte], byte, path) for byte in order if costs[byte] < np.inf]
        options.sort(key=lambda option: option[0])
        return [self._step(path, int(byte), cost) for cost, byte, path in options[: self._width]]

    def _step(self, path: _Path, byte: int, cost: float) -> _Path:
        self._stepper.restore(path.tensors)
        self._x[...] = byte
        row = self._stepper.step(self._x)[0, 0].astype(np.float64)
        nats = np.logaddexp.reduce(row) - row
        return _Path(path.text + bytes((byte,)), float(cost), nats, self._stepper.state())
