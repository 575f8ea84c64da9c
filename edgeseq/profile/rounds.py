"""Many configurations, measured in turns, and put together into one document."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from .. import __version__
from ..manifest import Manifest
from . import contrast, growth, soak
from .condition import MOST_SPREAD, Condition, condition_now, warnings_about
from .document import FORMAT, RUN, VERSION, Document
from .labels import run_names
from .machine import this_machine
from .probe import WARM_UP_STEPS, Job, measure_fresh

__all__ = ["Configuration", "Profile", "combine"]

GC_POLICY = "collected and frozen before the timed steps, off while they run"

NUMBER = re.compile(r"\d+(?:\.\d+)?")

Round = dict[str, Any]

Tell = Callable[[float, float, str], None]
"""Takes how much is done, how much there is, and what is done now."""


@dataclass(frozen=True, slots=True, eq=False)
class Configuration:
    """A model with a backend and a number of threads; `name` is what the report calls it."""

    name: str
    manifest: Manifest
    job: Job

    @property
    def words(self) -> str:
        """All that tells it apart."""
        many = "s" if self.job.threads > 1 else ""
        return f"{self.name} on {self.job.backend}, {self.job.threads} thread{many}"


@dataclass(slots=True)
class Profile:
    """Everything that one call of `edgeseq profile` measures; may be cut short at any moment.

    Attributes:
        settings: what was asked for, as it is written into the document.
        done: rounds by configuration, in the order in which they ended.
        notes: what could not be measured.
        growth: rows of --growth.
        soak: rows of --soak.
    """

    settings: dict[str, Any]
    done: dict[Configuration, list[Round]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    growth: list[dict[str, Any]] = field(default_factory=list)
    soak: list[dict[str, Any]] = field(default_factory=list)
    before: Condition = field(default_factory=condition_now)

    def measure(self, configurations: Sequence[Configuration], rounds: int, tell: Tell) -> None:
        """Measure in turns, so that a machine that changes hurts all alike.

        Args:
            configurations: what to measure.
            rounds: how often each.
            tell: called before each with the number done, the number of all, and words.
        """
        total = rounds * len(configurations)
        for turn in range(rounds):
            for at, configuration in enumerate(configurations):
                words = f"round {turn + 1} of {rounds}: {configuration.words}"
                tell(turn * len(configurations) + at, total, words)
                self.done.setdefault(configuration, []).append(_measured(configuration))

    def follow_growth(
        self, configurations: Sequence[Configuration], steps: int, tell: Tell
    ) -> None:
        """Streams of up to `steps` steps, beside what they would cost without a bounded state."""
        for at, c in enumerate(configurations):
            words = f"growth to {steps:,} steps: {c.name}"
            total = len(configurations)
            tell(at, total, words)
            watch = _share(tell, at, total, words)
            self._keep(self.growth, growth.follow_growth(c.name, c.manifest, c.job, steps, watch))
            if not contrast.torch_is_there():
                self.notes.append("growth without a bounded state: torch is not installed")
                continue
            words = f"growth without a bounded state: {c.name}"
            tell(at, total, words)
            watch = _share(tell, at, total, words)
            for row in contrast.contrast(c.name, c.manifest, c.job.model, steps, watch):
                self._keep(self.growth, row)

    def follow_soak(
        self, configurations: Sequence[Configuration], seconds: float, tell: Tell
    ) -> None:
        """Long streams, whose end is compared with their first minute."""
        for at, c in enumerate(configurations):
            words = f"stream of {seconds:,.0f} s: {c.name}"
            tell(at, len(configurations), words)
            watch = _share(tell, at, len(configurations), words)
            self._keep(self.soak, soak.follow_soak(c.name, c.job, seconds, watch))

    def _keep(self, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
        rows.append(row)
        if row.get("interrupted"):
            raise KeyboardInterrupt

    def document(self) -> Document:
        """What has been measured so far."""
        after = condition_now()
        runs = [combine(c, rounds) for c, rounds in self.done.items() if rounds]
        machine = this_machine()
        said = [w for run in runs for r in run["rounds"] for w in r["warnings"]]
        if machine.emulator:
            said.insert(0, f"{machine.cpu}: times and memory are those of the emulator")
        for run, name in zip(runs, run_names(runs), strict=True):
            if run["p50_spread"] > MOST_SPREAD:
                said.append(
                    f"{name}: the rounds' median steps differ by {run['p50_spread']:.0%}; "
                    "figures of this machine are not steady now"
                )
        return {
            "format": FORMAT,
            "version": VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "edgeseq": __version__,
            "machine": machine.as_dict(),
            "before": self.before.as_dict(),
            "after": after.as_dict(),
            "settings": {**self.settings, "warm_up_steps": WARM_UP_STEPS, "gc": GC_POLICY},
            "warnings": _worst(said),
            "notes": list(dict.fromkeys(self.notes)),
            "runs": runs,
            "growth": self.growth,
            "soak": self.soak,
        }


def _measured(configuration: Configuration) -> Round:
    before, own = condition_now(), _own_cpu()
    result = measure_fresh(configuration.job)
    result["warnings"] = warnings_about(before, condition_now(), _own_cpu() - own)
    return result


def _share(tell: Tell, at: int, total: int, words: str) -> Callable[[float], None]:
    """Progress of one among `total` things as progress of all."""
    return lambda done: tell(at + done, total, words)


def _own_cpu() -> float:
    """Processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def combine(configuration: Configuration, rounds: Sequence[Round]) -> dict[str, Any]:
    """One run of the document from the rounds of a configuration; see RUN in document.py."""
    first = rounds[0]
    p50s = [r["step_p50_us"] for r in rounds]
    delays = [[word["delay_ms"] for word in r["words"]] for r in rounds]
    known: dict[str, Any] = {
        **_identity(configuration),
        "p50_spread": (max(p50s) - min(p50s)) / median(p50s),
        "word_delay_p50_ms": median(median(d) for d in delays) if delays[0] else None,
        "word_delay_max_ms": median(max(d) for d in delays) if delays[0] else None,
        "operators": next((r["operators"] for r in rounds if "operators" in r), []),
        "histogram": _merged(r["histogram"] for r in rounds),
        "rounds": [
            {k: r[k] for k in ("step_p50_us", "step_p99_us", "rss_peak_bytes", "warnings")}
            for r in rounds
        ],
    }
    run = {}
    for entry in RUN:
        if entry.name in known:
            run[entry.name] = known[entry.name]
        else:
            run[entry.name] = _joined(entry.rounds, [r.get(entry.name) for r in rounds])
            if entry.kind == "count" and run[entry.name] is not None:
                run[entry.name] = round(run[entry.name])
    if first["budget"] is not None:
        names = first["budget"]
        run["budget"] = {n: _joined("median", [r["budget"][n] for r in rounds]) for n in names}
    return run


def _identity(configuration: Configuration) -> dict[str, Any]:
    job, manifest = configuration.job, configuration.manifest
    timing, stored = manifest.timing, manifest.quantization
    # torch runs the float32 model, whatever the file holds.
    scheme, weight_bytes = stored.scheme, stored.weight_bytes
    if job.weights is not None:
        scheme, weight_bytes = "none", 4 * manifest.parameters
    model, file = Path(job.model), Path(job.file)
    return {
        "model": configuration.name,
        "task": manifest.task,
        "family": manifest.family,
        "shape": _shape(manifest),
        "left_context": timing.left_context,
        "quantization": scheme,
        "backend": job.backend,
        "threads": job.threads,
        "file_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "input": file.name,
        "input_sha256": _digest(file),
        "file_bytes": model.stat().st_size,
        "weight_bytes": weight_bytes,
        "state_bytes": manifest.state_spec.nbytes(),
        "parameters": manifest.parameters,
        "macs_per_step": manifest.macs_per_frame * timing.chunk,
        "step_audio_ms": 1e3 * timing.step_seconds if timing.sample_rate else None,
    }


def _shape(manifest: Manifest) -> str | None:
    """Layers x width, as far as the file names the shape that it was built from."""
    model = manifest.provenance.config.get("model")
    encoder = model.get("encoder") if isinstance(model, Mapping) else None
    if not isinstance(encoder, Mapping):
        return None
    layers, width = encoder.get("layers"), encoder.get("hidden", encoder.get("dim"))
    count = len(layers) if isinstance(layers, list) else layers
    return f"{count}x{width}" if isinstance(count, int) and isinstance(width, int) else None


def _worst(said: Iterable[str]) -> list[str]:
    """Each kind of warning once, with its largest numbers."""
    kinds: dict[str, list[str]] = {}
    for words in said:
        kinds.setdefault(NUMBER.sub("", words), []).append(words)
    return [
        max(same, key=lambda w: [float(n) for n in NUMBER.findall(w)]) for same in kinds.values()
    ]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _joined(how: str, values: list[Any]) -> Any:
    if how == "first" or any(value is None for value in values):
        return values[0]
    if how == "median":
        return median(values)
    return max(values) if how == "max" else sum(values)


def _merged(histograms: Iterable[list[list[float]]]) -> list[list[float]]:
    """Counts of bars with the same edges added up, in order of time."""
    bars: dict[tuple[float, float], float] = {}
    for histogram in histograms:
        for low, high, count in histogram:
            bars[low, high] = bars.get((low, high), 0) + count
    return [[low, high, bars[low, high]] for low, high in sorted(bars)]
