"""From logits to events: one decoder a task, with the verbs push, flush and reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..decoding import ByteDecoding, Decoding, KeywordDecoding, VadDecoding, read_decoding
from ..spec import Timing
from .base import Decoder
from .byte_text import ByteDecoder
from .keyword import KeywordDecoder
from .vad import VadDecoder

__all__ = ["ByteDecoder", "Decoder", "KeywordDecoder", "VadDecoder", "make"]


def make(
    task: str, labels: Sequence[str], timing: Timing, decoding: Decoding | Mapping[str, object]
) -> Decoder:
    """The decoder of `task`, with settings from a manifest or as a plain dict."""
    if isinstance(decoding, Mapping):
        decoding = read_decoding(task, tuple(labels), decoding)
    match decoding:
        case KeywordDecoding():
            return KeywordDecoder(labels, timing, decoding)
        case VadDecoding():
            return VadDecoder(timing, decoding)
        case ByteDecoding():
            return ByteDecoder()
