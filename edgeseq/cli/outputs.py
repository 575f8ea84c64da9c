"""Files that a profile is written to, whose names say what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from ..errors import ConfigError
from ..files import write_whole
from ..profile.csvfile import csv_text
from ..profile.document import Document
from ..profile.report import html

__all__ = ["parse_outputs", "write_outputs"]

ENDS = (".json", ".csv", ".html")


def parse_outputs(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Path, ...]:
    """Files whose names end in something that we write, in folders that are there."""
    for value in values:
        path = Path(value)
        if path.suffix not in ENDS:
            raise click.BadParameter(f"{value!r} must end in {', '.join(ENDS)}")
        # Said before minutes of measuring, not after them.
        if not path.resolve().parent.is_dir():
            raise ConfigError(f"{path}: its folder does not exist; make it first")
    return tuple(map(Path, values))


def write_outputs(
    outputs: Iterable[Path], document: Document, parts: Sequence[Document] = ()
) -> None:
    """Write `document` into each file; a CSV has the rows of `parts`, if there are any."""
    for path in outputs:
        if path.suffix == ".json":
            text = json.dumps(document, indent=1) + "\n"
        elif path.suffix == ".csv":
            text = csv_text(parts or [document])
        else:
            text = html(document)
        try:
            write_whole(path, text.encode())
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"{path}: cannot be written: {reason}") from error
