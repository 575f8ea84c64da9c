"""The tables of a profile in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..profile.labels import metric_words, rows_of, run_names
from .lines import visible

__all__ = ["add_rows", "print_growth", "print_runs", "wide_console"]

ACROSS = 5
"""Runs beside each other in one table; more would not fit into a terminal."""


def print_runs(runs: Sequence[Mapping[str, Any]]) -> None:
    """A row for each property, a column for each run, the best in bold."""
    console = wide_console()
    names = run_names(runs)
    for at in range(0, len(runs), ACROSS):
        table = Table()
        table.add_column("")
        for name in names[at : at + ACROSS]:
            table.add_column(Text(visible(name)), justify="right", overflow="fold")
        some = runs[at : at + ACROSS]
        table.add_row("accuracy", *(metric_words(run) for run in some))
        add_rows(table, some)
        console.print(table)


def add_rows(table: Table, runs: Sequence[Mapping[str, Any]]) -> None:
    """The rows of labels.py that the runs have values for."""
    for (words, _, write, less), values in rows_of(runs):
        table.add_row(words, *_best_in_bold(values, write, less))


def print_growth(row: Mapping[str, Any]) -> None:
    """A line for each point of a row of --growth."""
    table = Table(title=Text(visible(row["name"])), title_justify="left")
    for head in ("steps", "step p50 (µs)", "step p99 (µs)", "state bytes", "RSS growth (KiB)"):
        table.add_column(head, justify="right")
    for point in row["points"]:
        table.add_row(
            f"{point['steps']:,}",
            f"{point['step_p50_us']:,.1f}",
            f"{point['step_p99_us']:,.1f}",
            f"{point['state_bytes']:,}",
            f"{point['rss_grown_bytes'] / 1024:,.0f}",
        )
    wide_console().print(table)
    if row["note"]:
        print(visible(row["note"]))


def wide_console() -> Console:
    """As wide as the terminal, and without limit where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        # A file or pipe has no width to keep to.
        console.width = 1000
    return console


def _best_in_bold(values: Sequence[Any], write: Callable[[Any], str], less: bool) -> list[Text]:
    """Cells; with `less`, the smallest of values that differ is bold, and "-" stands for None."""
    known = [value for value in values if value is not None]
    best = min(known) if less and len(set(known)) > 1 else None
    return [
        Text("-" if v is None else write(v), style="bold" if v is not None and v == best else "")
        for v in values
    ]
