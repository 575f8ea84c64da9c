"""A small document of a profile, made of measured-looking figures, for what reads documents."""

from __future__ import annotations

import copy
from typing import Any

from edgeseq.profile.document import BUDGET, DOCUMENT, FORMAT, RUN, VERSION, Document

EMPTY: dict[str, Any] = {"text": "", "count": 1, "number": 1.5, "list": [], "object": {}}


def run(model: str = "words-gru", **changes: object) -> dict[str, Any]:
    """One run."""
    made: dict[str, Any] = {f.name: copy.copy(EMPTY[f.kind]) for f in RUN}
    made |= {
        "model": model,
        "task": "keyword",
        "family": "gru",
        "backend": "onnx",
        "input": "words.wav",
        "input_sha256": "aa",
        "file_sha256": f"f{model}",
        "metric_name": "words found",
        "metric": 0.9,
        "step_p50_us": 60.0,
        "step_p99_us": 90.0,
        "step_max_us": 300.0,
        "p50_spread": 0.02,
        "file_bytes": 300_000,
        "budget": {f.name: 2.0 for f in BUDGET},
        "words": [{"label": "yes", "end_s": 2.6, "event_s": 2.8, "delay_ms": 200.0}],
        "operators": [
            {"operator": "MatMul", "calls": 10, "share": 0.75},
            {"operator": "Add", "calls": 10, "share": 0.25},
        ],
        "histogram": [[50.0, 61.0, 900], [61.0, 75.0, 90], [280.0, 300.0, 1]],
        "trace": [[0.1, 70 * 2**20, 60.0, 90.0], [0.2, 70 * 2**20, 61.0, 95.0]],
        "rounds": [
            {"step_p50_us": 60.0, "step_p99_us": 90.0, "rss_peak_bytes": 7e7, "warnings": []}
        ],
    }
    return made | changes


def document(*runs: dict[str, Any], board: str = "Board A", **changes: object) -> Document:
    """A document with these runs, or with one."""
    made: Document = {f.name: copy.copy(EMPTY[f.kind]) for f in DOCUMENT}
    machine = {
        "cpu": board,
        "board": board,
        "cores": 4,
        "bits": 64,
        "system": "Debian",
        "soc": "",
        "memory_bytes": 2**30,
        "libraries": {"onnxruntime": "1.32.0", "numpy": "2.0.0"},
    }
    made |= {
        "format": FORMAT,
        "version": VERSION,
        "created": "2026-01-02T03:04:05+00:00",
        "edgeseq": "0.1.0",
        "machine": machine,
        "before": {"governor": "ondemand", "temperature_c": 48.0},
        "after": {"governor": "ondemand", "temperature_c": 55.0},
        "settings": {"rounds": 3, "seconds": 2.0, "warm_up_steps": 200, "gc": "off"},
        "runs": list(runs) or [run()],
    }
    return made | changes
