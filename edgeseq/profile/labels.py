"""How tables, pictures and messages call a run and write its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["METRICS", "Row", "metric_words", "rows_of", "run_names", "soak_words"]

METRICS = {"keyword": "words found", "vad": "right frames", "bytes": "bits per byte"}
"""What tells how good a model is, by its task."""

Row = tuple[str, str, Callable[[Any], str], bool]
"""Words, key of the run, how to write its value, and whether less is better."""


def _count(value: Any) -> str:
    return f"{value:,}"


def _one(value: Any) -> str:
    return f"{value:,.1f}"


def _mebibytes(value: Any) -> str:
    return f"{value / 2**20:.1f}"


ROWS: tuple[Row, ...] = (
    ("family", "family", str, False),
    ("quantization", "quantization", str, False),
    ("backend", "backend", str, False),
    ("threads", "threads", str, False),
    ("step p50 (µs)", "step_p50_us", _one, True),
    ("step p90 (µs)", "step_p90_us", _one, True),
    ("step p99 (µs)", "step_p99_us", _one, True),
    ("step p99.9 (µs)", "step_p999_us", _one, True),
    ("step max (µs)", "step_max_us", _one, True),
    ("jitter (µs)", "step_jitter_us", _one, True),
    ("p50 spread of rounds", "p50_spread", lambda v: f"{v:.1%}", False),
    ("timed steps", "steps", _count, False),
    ("RTF", "rtf", lambda v: f"{v:.5f}", True),
    ("CPU s per s of audio", "cpu_per_audio_s", lambda v: f"{v:.5f}", True),
    ("frames or bytes per s", "frames_per_s", lambda v: f"{v:,.0f}", False),
    ("MACs per step", "macs_per_step", _count, True),
    ("parameters", "parameters", _count, True),
    ("file bytes", "file_bytes", _count, True),
    ("weight bytes", "weight_bytes", _count, True),
    ("state bytes", "state_bytes", _count, True),
    ("arena bytes", "arena_bytes", _count, True),
    ("steady RSS (MiB)", "rss_steady_bytes", _mebibytes, True),
    ("peak RSS (MiB)", "rss_peak_bytes", _mebibytes, True),
    ("cold: process (ms)", "cold_process_ms", _one, False),
    ("cold: import (ms)", "cold_import_ms", _one, True),
    ("cold: load (ms)", "cold_load_ms", _one, True),
    ("cold: first step (ms)", "cold_first_step_ms", lambda v: f"{v:.2f}", True),
    ("page faults", "minor_faults", _count, False),
    ("waits", "voluntary_switches", _count, False),
    ("cores lost to others", "involuntary_switches", _count, False),
    ("energy (J)", "energy_j", lambda v: f"{v:.2f}", True),
    ("word to event p50 (ms)", "word_delay_p50_ms", lambda v: f"{v:.0f}", True),
    ("word to event max (ms)", "word_delay_max_ms", lambda v: f"{v:.0f}", True),
    ("algorithmic latency (ms)", "algorithmic_latency_ms", _one, True),
    ("events found", "events", _count, False),
)


def rows_of(runs: Sequence[Mapping[str, Any]]) -> list[tuple[Row, list[Any]]]:
    """The rows of which one of `runs` at least has a value, each with the values of all."""
    found = [(row, [run.get(row[1]) for run in runs]) for row in ROWS]
    return [(row, values) for row, values in found if any(v is not None for v in values)]


def metric_words(run: Mapping[str, Any]) -> str:
    """How good a run was, in words; "-" without labels."""
    value = run["metric"]
    if value is None:
        return "-"
    if run["metric_name"] == "bits per byte":
        return f"{value:.3f} bits per byte"
    false = run["false_alarms"]
    tail = "" if false is None else f", {false} false"
    return f"{value:.1%} {run['metric_name']}{tail}"


def soak_words(row: Mapping[str, Any]) -> dict[str, str]:
    """What a long stream showed, by what it is about."""

    def said(value: Any, write: Callable[[Any], str]) -> str:
        return "-" if value is None else write(value)

    return {
        "stream time": f"{row['stream_seconds'] / 3600:.2f} h",
        "steps": f"{row['steps']:,}",
        "took": f"{row['wall_s']:.1f} s" + (" (interrupted)" if row["interrupted"] else ""),
        "RSS growth": said(row["rss_growth_bytes"], lambda v: f"{v / 1024:,.0f} KiB"),
        "RSS slope": said(row["rss_slope_bytes_per_hour"], lambda v: f"{v / 1024:,.1f} KiB/h"),
        "step p50, end / begin": said(row["p50_ratio"], lambda v: f"{v:.3f}"),
        "step p99, end / begin": said(row["p99_ratio"], lambda v: f"{v:.3f}"),
        "events as in minute 1": said(row["same_events"], lambda v: "yes" if v else "no"),
        "state differs by": said(row["state_difference"], lambda v: f"{v:.3g}"),
        "after reset as new": "yes" if row["same_after_reset"] else "no",
    }


def run_names(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run: the model, and what else tells it apart from the others."""
    names = []
    for run in runs:
        same = [other for other in runs if other["model"] == run["model"]]
        parts = [run["model"]]
        if len({other.get("machine", "") for other in same}) > 1:
            parts.append(f"on {run['machine']}")
        if len({other["backend"] for other in same}) > 1:
            parts.append(run["backend"])
        if len({other["threads"] for other in same}) > 1:
            parts.append(f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}")
        names.append(" ".join(parts))
    return names
