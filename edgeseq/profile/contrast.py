"""What a model would cost without a bounded state: `python -m edgeseq.profile.contrast MODEL`.

Only here and in eager.py the profile imports torch. Weights are untrained, of the shape that the
model file names; step times do not depend on them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import Any

from ..errors import EdgeseqError
from ..manifest import Manifest
from ..runtime import read_manifest
from .growth import marks
from .memory import current_rss
from .process import Stop, report_progress, run_watched, write_result

__all__ = ["contrast", "torch_is_there"]

ROWS = ("full recompute", "growing cache")

MOST_STEPS = 10_000
MOST_SECONDS = 2.0
"""A step that takes longer ends its row."""

MOST_SCORES = 64 * 2**20
"""Attention scores of one call: 256 MiB, more would measure the machine's swapping."""

REPEATS = 5


def torch_is_there() -> bool:
    """Whether torch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


def contrast(
    name: str, manifest: Manifest, path: str, steps: int, tell: Callable[[float], None]
) -> list[dict[str, Any]]:
    """Rows of the document as `follow_growth` gives them, up to 10,000 steps."""
    arguments = [path, str(min(steps, MOST_STEPS))]
    result = run_watched("edgeseq.profile.contrast", arguments, name, tell)
    late = {"interrupted": True} if result.get("interrupted") else {}
    return [
        {"name": f"{name}: {row['kind']} (torch)", "model": name, **row, **late}
        for row in result["rows"]
    ]


def _measure(path: str, steps: int, stop: Stop) -> dict[str, Any]:
    import torch

    manifest = read_manifest(path)
    values = manifest.provenance.config.get("model")
    if not isinstance(values, Mapping):
        raise EdgeseqError(f"{path}: names no shape (provenance.config.model) to build in torch")
    torch.set_num_threads(1)
    attends = manifest.timing.left_context is not None
    kinds = ROWS if attends else ROWS[:1]
    rows = []
    for number, kind in enumerate(kinds):
        row: dict[str, Any] = {"kind": kind, "points": [], "note": ""}
        rows.append(row)
        base = current_rss()
        for length in marks(steps):
            report_progress((number + length / steps) / len(kinds))
            scores = _scores(values, length, kind) if attends else 0
            if scores > MOST_SCORES:
                row["note"] = f"{kind}: ends at {length:,} steps, whose attention needs "
                row["note"] += f"{4 * scores / 2**30:.1f} GiB"
                break
            if stop.requested:
                row["note"] = f"{kind}: interrupted"
                break
            model, x, state = _built(manifest, values, length, kind)
            times, held = _times(model, x, state)
            row["points"].append(
                {
                    "steps": length,
                    "step_p50_us": sorted(times)[len(times) // 2] / 1e3,
                    "step_p99_us": max(times) / 1e3,
                    "state_bytes": held,
                    "rss_grown_bytes": max(0, current_rss() - base),
                }
            )
            if max(times) > MOST_SECONDS * 1e9:
                row["note"] = f"{kind}: ends at {length:,} steps, one of which took "
                row["note"] += f"{max(times) / 1e9:.1f} s"
                break
    return {"rows": rows}


def _scores(values: Mapping[str, Any], length: int, kind: str) -> int:
    heads = int(values["encoder"].get("heads", 1))
    return heads * length * (2 * length if kind == "full recompute" else 1)


def _built(manifest: Manifest, values: Mapping[str, Any], length: int, kind: str) -> Any:
    """Model, input and state whose one call is the step number `length`."""
    import torch

    from ..models import ModelConfig

    encoder = dict(values["encoder"])
    if "window" in encoder:
        # An ordinary Transformer sees its whole past.
        encoder["window"] = length
    model = ModelConfig.from_dict({**values, "encoder": encoder}).build().eval()
    frames = length if kind == "full recompute" else 1
    shape = 1, frames, manifest.timing.hop
    generator = torch.Generator().manual_seed(0)
    if manifest.input == "bytes":
        x = torch.randint(0, 256, shape, generator=generator)
    else:
        x = torch.randn(shape, generator=generator) * 0.1
    state = model.initial_state(1)
    if kind == "growing cache":
        # Full, as it is after so many steps.
        state = {
            n: torch.full_like(t, length) if n.endswith("filled") else t for n, t in state.items()
        }
    return model, x, state


def _times(model: Any, x: Any, state: Any) -> tuple[list[int], int]:
    """Nanoseconds of some calls, and the bytes that must be kept for the next one."""
    import torch

    times: list[int] = []
    with torch.inference_mode():
        while len(times) <= REPEATS:
            start = perf_counter_ns()
            model(x, state)
            times.append(perf_counter_ns() - start)
            if times[-1] > MOST_SECONDS * 1e9:
                break
    whole = x.shape[1] > 1
    kept = x.nbytes if whole else sum(tensor.nbytes for tensor in state.values())
    # The first call allocates.
    return times[1:] or times, kept


def main() -> None:
    """Measure what the arguments name."""
    with Stop() as stop:
        write_result(lambda: _measure(sys.argv[1], int(sys.argv[2]), stop))


if __name__ == "__main__":
    main()
