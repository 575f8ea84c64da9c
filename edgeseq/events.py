"""What a stream says: small frozen events, each with a time, each one JSON line.

`time` is stream time in seconds, counted from samples and never read from a clock; on a text stream
it is the number of bytes read so far.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["Endpoint", "Event", "Gap", "Keyword", "Speech", "Text", "Token"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `time` seconds of the stream."""

    time: float

    def as_dict(self) -> dict[str, object]:
        """The event as plain values, with its class name in lower case under `event`."""
        return {"event": type(self).__name__.lower(), **asdict(self)}

    def to_json(self) -> str:
        """The event as one JSON line, without a line break."""
        return json.dumps(
            {k: round(v, 6) if isinstance(v, float) else v for k, v in self.as_dict().items()},
            ensure_ascii=False,
        )


@dataclass(frozen=True, slots=True)
class Keyword(Event):
    """A keyword ended near `time`; `score` is the smoothed probability in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Speech(Event):
    """Speech began (`active`) or ended at `time`."""

    active: bool


@dataclass(frozen=True, slots=True)
class Text(Event):
    """Recognised text; a later event may change it unless it is `final`."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Endpoint(Event):
    """An utterance has ended."""


@dataclass(frozen=True, slots=True)
class Token(Event):
    """Read text and how well the model foresaw it.

    Attributes:
        text: one whole character (several bytes when UTF-8 needs them).
        bits: information in those bytes given what came before, in bits; None for the first.
        best: what the model expects next, as text, "" when it is part of a character.
    """

    text: str
    bits: float | None
    best: str


@dataclass(frozen=True, slots=True)
class Gap(Event):
    """`seconds` of input were lost before `time`, because of `cause`.

    Causes of a microphone are "overflow" (the machine or this program was too slow) and "device"
    (it was unplugged or stopped).
    """

    seconds: float
    cause: str
