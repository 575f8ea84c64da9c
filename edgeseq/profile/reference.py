"""Measurements that come with the package, for machines of which the user has none.

`x86-64.json` is a profile; `cortex-m4.json` has sizes and instruction counts of the C engine, and
`quality.json` what the trained models among them are worth. benchmarks/reference.py makes the first
two, the scripts named in it the third.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ..assets import FOLDER
from ..errors import ConfigError
from .document import Document, Field, check_fields, read, read_json

__all__ = ["INSTRUCTIONS", "VERSION", "computer", "cortex_m4", "quality"]

INSTRUCTIONS = "edgeseq.instructions"
QUALITY = "edgeseq.quality"
VERSION = 1

ROW = (
    Field("model", "text", "name of the model"),
    Field("task", "text", "keyword, vad or bytes"),
    Field("family", "text", "gru, lstm or transformer"),
    Field("shape", "text", "layers x width"),
    Field("left_context", "count", "past frames that attention sees", optional=True),
    Field("parameters", "count", "trained numbers"),
    Field("macs_per_step", "count", "multiply-accumulates of a step"),
    Field("step_audio_ms", "number", "audio that a step consumes; null for text", optional=True),
    Field("flash_bytes", "count", "const data of the model"),
    Field("arena_bytes", "count", "working memory, state included"),
    Field("state_bytes", "count", "of which state"),
    Field("instructions", "count", "of the longest step; no latency"),
)

BOARD = (
    Field("created", "text", "when it was counted"),
    Field("edgeseq", "text", "version of edgeseq"),
    Field("core", "text", "processor core"),
    Field("counted_by", "text", "emulator and compiler"),
    Field("engine_bytes", "count", "code and tables of the engine"),
    Field("rows", "list", "one for each model"),
)

WORTH = (
    Field("model", "text", "name of the model among the measurements"),
    Field("value", "number", "the figure"),
    Field("measure", "text", "what it says"),
    Field("by", "text", "the command that measured it"),
    Field("get", "text", "how to come by the model"),
)


@cache
def computer() -> Document:
    """The profile of an x86-64 processor."""
    return read(str(_path("x86-64.json")))


@cache
def cortex_m4() -> dict[str, Any]:
    """Sizes and instruction counts; the keys are those of BOARD and ROW."""
    return _table("cortex-m4.json", INSTRUCTIONS, BOARD, ROW)


@cache
def quality() -> dict[str, dict[str, Any]]:
    """What is known of each trained model, by its name; the keys are those of WORTH."""
    rows = _table("quality.json", QUALITY, (BOARD[-1],), WORTH)["rows"]
    return {row["model"]: row for row in rows}


def _path(name: str) -> Path:
    return FOLDER / "reference" / name


def _table(
    name: str, format: str, head: tuple[Field, ...], fields: tuple[Field, ...]
) -> dict[str, Any]:
    path = str(_path(name))
    found = read_json(path)
    check_fields(found, head, path)
    if (found.get("format"), found.get("version")) != (format, VERSION):
        raise ConfigError(f"{path}: is no {format} of version {VERSION}; install edgeseq again")
    for number, row in enumerate(found["rows"]):
        check_fields(row, fields, f"{path}: rows[{number}]")
    return dict(found)
