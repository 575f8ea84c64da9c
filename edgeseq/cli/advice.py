"""What follows from a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

__all__ = ["faster_form", "keeping_up"]

ALIKE = 1.03
"""Times that differ by less say nothing."""

Row = Mapping[str, Any]


def faster_form(rows: Sequence[Row]) -> list[str]:
    """For each model that was measured in several precisions, which is the faster one here."""
    lines = []

    def config(row: Row) -> str:
        return str(row["config_sha256"])

    for _, group in groupby(sorted(rows, key=config), key=config):
        forms = sorted(group, key=lambda row: float(row["step_p50_us"]))
        if len({row["quantization"] for row in forms}) < 2:
            continue
        first, second = (
            forms[0],
            next(row for row in forms if row["quantization"] != forms[0]["quantization"]),
        )
        ratio = second["step_p50_us"] / first["step_p50_us"]
        names = f"{first['model']} ({_form(first)}) and {second['model']} ({_form(second)})"
        if ratio < ALIKE:
            lines.append(f"{names} are the same model and equally fast here.")
        else:
            lines.append(
                f"{names} are the same model; {_form(first)} is {ratio:.2f} times as fast here."
            )
    return lines


def _form(row: Row) -> str:
    return "float" if row["quantization"] == "none" else str(row["quantization"])


def keeping_up(rows: Sequence[Row], slower: float | None) -> list[str]:
    """Which models would keep up with a live stream on a CPU that is `slower` times slower.

    One keeps up when 99 of 100 steps are done before the next input is there. The largest of those
    is named by its multiply-accumulates.
    """
    live = [row for row in rows if row["step_seconds"] is not None]
    if slower is None or not live:
        return []
    lines, fitting = [], []
    for row in live:
        rtf = row["rtf"] * slower if row["rtf"] is not None else 0.0
        late = row["step_p99_us"] * 1e-6 * slower > row["step_seconds"]
        lines.append(
            f"{row['model']}: RTF {rtf:.3f} on a CPU {slower:g} times slower (estimate), "
            + ("too slow" if late else "keeps up")
        )
        if not late:
            fitting.append(row)
    if fitting:
        largest = max(fitting, key=lambda row: int(row["macs_per_step"]))
        lines.append(f"The largest of these that keeps up is {largest['model']}.")
    else:
        lines.append("None of these keeps up.")
    return lines
