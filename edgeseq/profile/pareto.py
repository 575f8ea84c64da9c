"""Which configurations are worth a look: those that no other beats in everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LESS_IS_BETTER", "front"]

LESS_IS_BETTER = ("bits per byte",)
"""Metrics whose small values are good; the others are shares of what is right."""

COSTS = ("step_p50_us", "file_bytes")


def front(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The runs that no other equals or beats in metric, median step and file bytes at once.

    All must have a metric of the same name; the fastest comes first.
    """
    best = [run for run in runs if not any(_beats(other, run) for other in runs)]
    return sorted(best, key=lambda run: float(run["step_p50_us"]))


def _beats(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    one, two = _costs(a), _costs(b)
    return one != two and all(x <= y for x, y in zip(one, two, strict=True))


def _costs(run: Mapping[str, Any]) -> tuple[float, ...]:
    metric = run["metric"] if run["metric_name"] in LESS_IS_BETTER else -run["metric"]
    return metric, *(run[key] for key in COSTS)
