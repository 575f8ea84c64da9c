"""The tasks a recipe can name."""

from __future__ import annotations

__all__ = ["BYTES", "KEYWORD", "TASKS", "VAD"]

KEYWORD, VAD, BYTES = "keyword", "vad", "bytes"
TASKS = (KEYWORD, VAD, BYTES)
