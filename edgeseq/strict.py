"""Reading of JSON objects that refuses what it does not know, and says where."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from .errors import ManifestError

__all__ = ["Fields", "parse_object"]

T = TypeVar("T")

LARGEST = sys.float_info.max

MOST_SHOWN = 80
"""Characters of a wrong value in a message."""


def _no_double(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise ManifestError(f"key {key!r} is given twice in one object")
        values[key] = value
    return values


def _finite(text: str) -> float:
    value = float(text)
    # JSON has no infinity, but 1e999 is one.
    return value if math.isfinite(value) else _no_constant(text)


def _no_constant(name: str) -> NoReturn:
    raise ManifestError(f"{name} is not allowed; numbers must be finite")


def parse_object(text: str, path: str) -> Fields:
    """The JSON object in `text`, or a ManifestError that names `path`."""
    try:
        value = json.loads(
            text, object_pairs_hook=_no_double, parse_constant=_no_constant, parse_float=_finite
        )
        # Half a surrogate pair ("\ud800") is no text: it could be neither hashed nor written.
        json.dumps(value, ensure_ascii=False).encode()
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not valid JSON: {error}") from None
    return Fields(value, path)


class Fields:
    """One JSON object being read; every key must be taken exactly once, then `done()` called."""

    def __init__(self, value: object, path: str) -> None:
        """Read `value`, found at `path`."""
        if not isinstance(value, dict):
            raise ManifestError(f"{path}: is {_kind(value)}, must be an object")
        self.path = path
        self._left: dict[str, object] = dict(value)

    def _take(self, key: str) -> object:
        if key not in self._left:
            raise ManifestError(f"{self.path}.{key}: missing")
        return self._left.pop(key)

    def _wrong(self, key: str, value: object, allowed: str) -> ManifestError:
        shown = _kind(value) if isinstance(value, list | dict) else json.dumps(value)
        shown = shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}..."
        return ManifestError(f"{self.path}.{key}: is {shown}, must be {allowed}")

    def text(self, key: str, allowed: Iterable[str] = ()) -> str:
        """A string, one of `allowed` when any are given."""
        value = self._take(key)
        choice = tuple(allowed)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        if choice and value not in choice:
            raise self._wrong(key, value, "one of " + ", ".join(choice))
        return value

    def whole(self, key: str, least: int = 0) -> int:
        """A whole number of at least `least`."""
        value = self._take(key)
        # True and False are ints in Python, but not in JSON.
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._wrong(key, value, f"a whole number >= {least}")
        return value

    def whole_or_none(self, key: str, least: int = 0) -> int | None:
        """A whole number of at least `least`, or null."""
        if key in self._left and self._left[key] is None:
            self._left.pop(key)
            return None
        return self.whole(key, least)

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in `[low, high]`."""
        value = self._take(key)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared before float(): a whole number may be too large for that.
        if not fits or not max(low, -LARGEST) <= value <= min(high, LARGEST):  # type: ignore[operator]
            limits = "" if math.isinf(low) and math.isinf(high) else f" in [{low:g}, {high:g}]"
            raise self._wrong(key, value, f"a finite number{limits}")
        return float(value)  # type: ignore[arg-type]

    def sub(self, key: str) -> Fields:
        """The object under `key`."""
        return Fields(self._take(key), f"{self.path}.{key}")

    def mapping(self, key: str) -> dict[str, object]:
        """The object under `key` as it stands."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return dict(value)

    def items(self, key: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """A list of objects, each read by `read` and then closed."""
        return tuple(
            Fields(item, f"{self.path}.{key}[{i}]").all(read)
            for i, item in enumerate(self._list(key))
        )

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(key)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self._wrong(f"{key}[{i}]", value, "a string")
        return tuple(str(value) for value in values)

    def axes(self, key: str) -> tuple[int | str, ...]:
        """A shape: whole numbers >= 1 and, for the batch axis, a string."""
        values = self._list(key)
        axes: list[int | str] = []
        for i, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise self._wrong(f"{key}[{i}]", value, 'a whole number or "B"')
            axes.append(value)
        return tuple(axes)

    def numbers(self, key: str, low: float, high: float) -> dict[str, float]:
        """An object of numbers in `[low, high]`."""
        inner = self.sub(key)
        return {name: inner.number(name, low, high) for name in sorted(inner._left)}

    def _list(self, key: str) -> list[object]:
        value = self._take(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def all(self, read: Callable[[Fields], T]) -> T:
        """What `read` makes of this object; raises when it left a key behind."""
        result = read(self)
        self.done()
        return result

    def done(self) -> None:
        """Raise when a key has not been taken."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise ManifestError(f"{self.path}: unknown key {names}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "a number")
