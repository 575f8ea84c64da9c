"""The tasks a recipe can name, and what their labels mean."""

from __future__ import annotations

__all__ = ["BYTES", "KEYWORD", "NEGATIVE", "SILENCE", "TASKS", "UNKNOWN", "VAD"]

KEYWORD, VAD, BYTES = "keyword", "vad", "bytes"
TASKS = (KEYWORD, VAD, BYTES)

SILENCE, UNKNOWN = 0, 1
"""Labels of every keyword model; its keywords follow."""
NEGATIVE = -1
"""Keyword target of a stretch that holds no keyword, be it silence or other speech."""
