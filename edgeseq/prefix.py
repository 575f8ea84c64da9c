"""Prompts that begin alike are read once: states of a generator after their first bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .errors import StateError
from .generator import Generator

__all__ = ["PrefixCache"]

SHORTEST = 256
"""Bytes of the shortest prefix that is kept, beside whole prompts."""

MOST_ENTRIES = 16
MOST_BYTES = 32 * 2**20


class PrefixCache:
    """States after the first 256, 512, 1024, ... bytes of prompts, and after whole prompts.

    So of a prompt that begins as an earlier one at least half of what they share is not read again,
    and nothing of a repeated one. The least recently used states are forgotten beyond 16 or 32 MiB.
    Prompts themselves are not kept, only their SHA-256.
    """

    def __init__(self) -> None:
        """Begin with no prompt."""
        # By (length, SHA-256), the most recently used last.
        self._entries: dict[tuple[int, str], dict[str, Any]] = {}

    def __len__(self) -> int:
        """How many states are kept."""
        return len(self._entries)

    def read(self, generator: Generator, prompt: bytes) -> int:
        """Have a fresh `generator` read `prompt`; returns how many bytes of it were known.

        Raises:
            StateError: the generator has read something before, or a state does not fit it.
        """
        if generator.count:
            raise StateError(f"the generator has read {generator.count} bytes; use a fresh one")
        known = self._recall(generator, prompt)
        at = known
        for end in [n for n in _lengths(len(prompt)) if n > known]:
            generator.read(prompt[at:end])
            self._keep((end, _digest(prompt[:end])), generator.state)
            at = end
        return known

    def _recall(self, generator: Generator, prompt: bytes) -> int:
        lengths = sorted({n for n, _ in self._entries if n <= len(prompt)}, reverse=True)
        for length in lengths:
            key = length, _digest(prompt[:length])
            if key in self._entries:
                state = self._entries.pop(key)
                generator.restore(state)
                self._entries[key] = state
                return length
        return 0

    def _keep(self, key: tuple[int, str], state: dict[str, Any]) -> None:
        self._entries.pop(key, None)
        self._entries[key] = state
        size = sum(tensor.nbytes for tensor in state["tensors"].values())
        while len(self._entries) > max(1, min(MOST_ENTRIES, MOST_BYTES // max(1, size))):
            del self._entries[next(iter(self._entries))]

    @property
    def state(self) -> dict[str, Any]:
        """All of it, as arrays and plain JSON values."""
        return {
            "prefixes": [
                {"length": length, "sha256": digest, "state": state}
                for (length, digest), state in self._entries.items()
            ]
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; StateError when it is something else.

        Whether the states fit a model is seen when one is used.
        """
        prefixes = state.get("prefixes")
        if set(state) != {"prefixes"} or not isinstance(prefixes, list):
            raise StateError("saved prefixes: must be a list under 'prefixes'")
        entries: dict[tuple[int, str], dict[str, Any]] = {}
        for prefix in prefixes[-MOST_ENTRIES:]:
            if not isinstance(prefix, dict) or set(prefix) != {"length", "sha256", "state"}:
                raise StateError("saved prefixes: each must have length, sha256 and state")
            length, digest, inner = prefix["length"], prefix["sha256"], prefix["state"]
            sound = (
                type(length) is int
                and length > 0
                and isinstance(digest, str)
                and isinstance(inner, dict)
            )
            count = inner.get("count") if sound else None
            if type(count) is not int or count != length:
                raise StateError("saved prefixes: a length is not that of its state")
            entries[length, digest] = inner
        self._entries = entries


def _lengths(whole: int) -> list[int]:
    """Lengths of the prefixes of a prompt that are kept."""
    lengths, length = [], SHORTEST
    while length < whole:
        lengths.append(length)
        length *= 2
    return [*lengths, whole] if whole else []


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
