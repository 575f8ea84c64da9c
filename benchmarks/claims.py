"""What is said of RNNs and Transformers, measured: the rows of docs/claims.md.

`examples/rnn_vs_transformer.py` calls all of these. Where times are compared, what is compared
takes turns, and figures are medians over the turns; memory of training is counted in bytes that
autograd keeps for the backward pass, which is the same on every machine.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeseq.assets import bundled
from edgeseq.profile import reference
from edgeseq.profile.contrast import contrast
from edgeseq.profile.growth import follow_growth
from edgeseq.profile.probe import Job, default_input
from edgeseq.profile.rounds import Configuration, Profile
from edgeseq.runtime import read_manifest
from edgeseq.runtime.session import backend_of
from edgeseq.training.memory import StepMemory

from .training_speed import HEADS, measure, steps_of

__all__ = [
    "Claim", "incremental_cost", "memory_of_attention", "parallel_training", "step_latency",
]  # fmt: skip

MAKERS = ("nn.GRU", "linear", "attention")
HOLDS, FAILS, PARTLY = "holds", "does not hold", "holds in part"


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of the table.

    Attributes:
        claim: what is said.
        measured: what we found.
        verdict: what follows, here.
        facts: the figures behind it, by name.
    """

    claim: str
    measured: str
    verdict: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def parallel_training(
    lengths: Sequence[int], frames: int, rounds: int, device: str = "cpu"
) -> Claim:
    """Training on whole clips at once against one frame after the other."""
    taken = measure(lengths, frames, rounds, device=device, only=MAKERS)
    ratios = {name: [taken["nn.GRU", t] / taken[name, t] for t in lengths] for name in MAKERS[1:]}
    parts = [
        f"{name} {', '.join(f'{r:.2f}' for r in found)} times the frames a second of nn.GRU"
        for name, found in ratios.items()
    ]
    where = f" ({device})" if device != "cpu" else ""
    parts_won = [_from(name, lengths, found) for name, found in ratios.items()]
    won = [found[-1] > 1 for found in ratios.values()]
    verdict = (
        HOLDS
        if all(r > 1 for found in ratios.values() for r in found)
        else (f"{PARTLY}: {', '.join(parts_won)}" if any(won) else FAILS)
    )
    return Claim(
        f"Attention and linear recurrences train in parallel, an RNN step by step{where}",
        f"T = {', '.join(f'{t:,}' for t in lengths)}: {'; '.join(parts)}",
        verdict,
        ratios,
    )


def _from(name: str, lengths: Sequence[int], ratios: Sequence[float]) -> str:
    """From which length on it is faster."""
    slower = [i for i, ratio in enumerate(ratios) if ratio <= 1]
    if not slower:
        return f"{name} at every length"
    later = lengths[slower[-1] + 1 :]
    return f"{name} from T = {later[0]:,} on" if later else f"{name} at none"


def kept_bytes(run: Callable[[], Tensor], model: nn.Module) -> int:
    """Bytes that autograd keeps for the backward pass of `run`, weights left out."""
    with StepMemory(model, ()) as step:
        run().sum().backward()
    return step.activations


class FullAttention(nn.Module):
    """Causal attention over the whole clip; `fused` leaves the scores to torch's own kernel."""

    def __init__(self, width: int, fused: bool) -> None:
        """Build the projections."""
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        """Frames `[B, T, width]`."""
        q, k, v = (t.unflatten(2, (HEADS, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, 2))
        if self.fused:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            mixed = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


def memory_of_attention(lengths: Sequence[int], width: int = 256, window: int = 96) -> list[Claim]:
    """Bytes kept for training against the length of a clip."""
    rows = steps_of(width, window)
    full, fused = FullAttention(width, False), FullAttention(width, True)
    makers: dict[str, tuple[nn.Module, Callable[[Tensor], Any]]] = {
        **{name: rows[name] for name in MAKERS},
        "full attention": (full, full),
        "full attention, fused": (fused, fused),
    }
    found: dict[str, list[int]] = {}
    for name, (module, step) in makers.items():
        for length in lengths:
            x = torch.randn(1, length, width, requires_grad=True)
            found.setdefault(name, []).append(
                kept_bytes(lambda s=step, x=x: s(x), module)  # type: ignore[misc]
            )
    span = math.log(lengths[-1] / lengths[-2])
    power = {name: math.log(sizes[-1] / sizes[-2]) / span for name, sizes in found.items()}

    def words(name: str) -> str:
        sizes = ", ".join(f"{size / 2**20:,.1f}" for size in found[name])
        return f"{name} {sizes} MiB (T^{power[name]:.2f})"

    at = f"kept for the backward pass at T = {', '.join(f'{t:,}' for t in lengths)}: "
    quadratic = power["full attention"] > 1.5
    local = [name for name in MAKERS if power[name] < 1.2]
    return [
        Claim(
            "Attention needs O(T^2) memory",
            at + "; ".join(words(n) for n in ("full attention", "full attention, fused")),
            "holds where scores are kept, not in a fused kernel"
            if quadratic and power["full attention, fused"] < 1.2
            else HOLDS if quadratic else FAILS,
            power,
        ),
        Claim(
            "RNNs, linear recurrences and windowed attention need O(T)",
            at + "; ".join(words(name) for name in MAKERS),
            HOLDS if len(local) == len(MAKERS) else FAILS,
            power,
        ),
    ]  # fmt: skip


def _jobs(names: Sequence[str], steps: int, folder: Path | None = None) -> list[Configuration]:
    """Bundled models, and with `folder` their native forms too."""
    found = []
    for name in names:
        paths = [bundled()[name]]
        if folder is not None:
            from edgeseq_export.native import export_native
            from edgeseq_export.read_back import load_weights

            paths.append(folder / f"{name}.esq")
            export_native(load_weights(paths[0]), paths[-1])
        for path in paths:
            manifest = read_manifest(path)
            file, labels = default_input(manifest.input == "bytes")
            job = Job(str(path), backend_of(str(path)), 1, file, labels, steps, 1.0)
            found.append(Configuration(name, manifest, job))
    return found


def incremental_cost(steps: int, rounds: int) -> list[Claim]:
    """Step time and state against the length of the stream: bounded, growing, recomputed."""
    points: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for turn in range(rounds):
        for c in _jobs(("words-transformer", "words-gru"), steps):
            rows = [follow_growth(c.name, c.manifest, c.job, steps, lambda share: None)]
            rows += contrast(c.name, c.manifest, c.job.model, steps, lambda share: None)
            for row in rows:
                for point in row["points"]:
                    kept = points.setdefault(f"{c.name} {row['kind']}", {})
                    kept.setdefault(point["steps"], []).append(point)
        print(f"stream lengths, round {turn + 1} of {rounds}", file=sys.stderr)
    times = {
        name: {n: median(p["step_p50_us"] for p in turns) for n, turns in by.items()}
        for name, by in points.items()
    }
    sizes = {name: {n: t[0]["state_bytes"] for n, t in by.items()} for name, by in points.items()}

    def grown(name: str) -> float:
        found = list(times[name].values())
        return found[-1] / found[0]

    def words(name: str) -> str:
        found = times[name]
        first, last = min(found), max(found)
        return (
            f"{name}: {found[first]:,.0f} us at {first:,} steps, {found[last]:,.0f} us at "
            f"{last:,} ({grown(name):.2f}x)"
        )

    bounded, whole = "words-transformer bounded cache", "words-transformer full recompute"
    growing, recurrent = "words-transformer growing cache", "words-gru recurrent state"
    last = max(times[whole])
    saved = times[whole][last] / times[growing].get(last, times[growing][max(times[growing])])
    constant = {name: len(set(sizes[name].values())) == 1 for name in (bounded, recurrent)}
    rss = {
        name: max(p["rss_grown_bytes"] for p in points[name][max(points[name])])
        for name in (bounded, recurrent)
    }
    facts = {"times": times, "sizes": sizes, "constant": constant}
    return [
        Claim(
            "Windowed attention costs the same at every step",
            words(bounded),
            # Less is no cost: a machine may be busier at the start.
            HOLDS if grown(bounded) < 1.25 else FAILS,
            facts,
        ),
        Claim(
            "A KV cache brings the cost of a step back from the whole past to one frame",
            f"at {last:,} steps the cache saves a factor of {saved:,.0f}; "
            f"{words(whole)}; {words(growing)} (both in torch)",
            f"{HOLDS if saved > 2 else FAILS}; an unbounded cache still grows",
            facts,
        ),
        Claim(
            "A recurrent state takes constant memory",
            f"words-gru {sizes[recurrent][min(sizes[recurrent])]:,} bytes at every length, process "
            f"+{rss[recurrent] / 1024:,.0f} KiB; a bounded cache too: words-transformer "
            f"{sizes[bounded][min(sizes[bounded])]:,} bytes, +{rss[bounded] / 1024:,.0f} KiB; "
            f"{words(recurrent)}",
            f"{HOLDS if constant[recurrent] else FAILS}"
            + ("; a bounded cache does as well, with more bytes" if constant[bounded] else ""),
            facts,
        ),
    ]


def step_latency(steps: int, rounds: int) -> Claim:
    """Step times of the bundled models, and the arena that the engine needs."""
    profile = Profile({"rounds": rounds, "steps": steps, "seconds": None})
    with tempfile.TemporaryDirectory(prefix="edgeseq") as folder:
        names = tuple(bundled())
        profile.measure(
            _jobs(names, steps, Path(folder)), rounds,
            lambda done, total, words: print(words, file=sys.stderr),
        )  # fmt: skip
        runs = profile.document()["runs"]
    parts, counted = [], {row["model"]: row for row in reference.cortex_m4()["rows"]}
    for name in names:
        mine = {run["backend"]: run for run in runs if run["model"] == name}
        parts.append(
            f"{name} p99 {mine['onnx']['step_p99_us']:,.0f} us (onnx), "
            f"{mine['native']['step_p99_us']:,.0f} us (native, arena "
            f"{counted[name]['arena_bytes']:,} bytes)"
        )
    slowest = max(run["step_p99_us"] for run in runs)
    return Claim(
        "A token takes less than 10 ms in a few KB of RAM",
        "; ".join(parts) + ". On a Cortex-M4 only instructions are known, no latency: "
        + ", ".join(f"{name} {counted[name]['instructions']:,}" for name in names),
        f"{'holds' if slowest < 10_000 else 'does not hold'} on this machine; "
        "not measured on a microcontroller",
        {"runs": {(r["model"], r["backend"]): r["step_p99_us"] for r in runs}},
    )  # fmt: skip
