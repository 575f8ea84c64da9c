"""What one could run: every measured model as a row of needs and worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..assets import bundled
from . import reference
from .document import Document

__all__ = ["Option", "Quality", "counted", "measured", "slower_of_same"]

BITS = "bits per byte"
TRAIN = "a shape measured with random weights: train it first"


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a model was found to be: `value` by `measure`, of which `less` may be better."""

    measure: str
    value: float
    less: bool = False

    @property
    def worth(self) -> float:
        """More is better. Two digits: a hundredth more says little about another recording."""
        return round(-self.value if self.less else self.value, 2)

    @property
    def words(self) -> str:
        """Value and measure."""
        return (
            f"{self.value:.2f} {self.measure}" if self.less else f"{self.value:.1%} {self.measure}"
        )


@dataclass(frozen=True, slots=True)
class Option:
    """A model with a backend, and what it was found to need.

    Attributes:
        model: its name.
        task: keyword, vad or bytes.
        family: gru, transformer, ...
        shape: layers x width, or None.
        window: past frames that attention sees, or None.
        precision: float, int8, ...
        backend: what runs it; firmware on a microcontroller.
        threads: of a step.
        parameters: trained numbers.
        ram_bytes: most memory of the process; of a microcontroller the arena.
        flash_bytes: of the model file; of a microcontroller const data and engine.
        step_us: step time that one step in a hundred exceeds, or None.
        instructions: of a step, where they were counted, or None.
        step_audio_ms: audio that a step consumes; None for text.
        trained: whether it has learned anything; a shape with random weights has not.
        get: how to come by the model.
        quality: how good it was found to be, by measure.
    """

    model: str
    task: str
    family: str
    shape: str | None
    window: int | None
    precision: str
    backend: str
    threads: int
    parameters: int
    ram_bytes: int
    flash_bytes: int
    step_us: float | None
    instructions: int | None
    step_audio_ms: float | None
    trained: bool
    get: str
    quality: Mapping[str, Quality] = field(default_factory=dict)

    @property
    def network(self) -> tuple[object, ...]:
        """The same for all forms of one network."""
        return self.task, self.family, self.shape, self.window, self.parameters

    @property
    def words(self) -> str:
        """Family, size, window, precision and backend."""
        size = self.shape or f"{self.parameters:,} parameters"
        window = f", window {self.window}" if self.window is not None else ""
        many = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.family} {size}{window}, {self.precision}, {self.backend}{many}"


def measured(document: Document, task: str) -> list[Option]:
    """The runs of a profile for one task.

    A run of one of our own files has the accuracy that is known of it besides what the profile
    found. The bundled profile's other shapes have random weights.
    """
    ours = reference.computer()
    known = {run["file_sha256"]: run["model"] for run in ours["runs"]}
    options = []
    for run in document["runs"]:
        if run["task"] != task:
            continue
        name = known.get(run["file_sha256"])
        row = reference.quality().get(name or "")
        found = list(_own_quality(run))
        if row is not None:
            found.append(_quality(row))
        options.append(
            Option(
                model=run["model"],
                task=task,
                family=run["family"],
                shape=run.get("shape"),
                window=run.get("left_context"),
                precision="float" if run["quantization"] == "none" else run["quantization"],
                backend=run["backend"],
                threads=run["threads"],
                parameters=run["parameters"],
                ram_bytes=run["rss_peak_bytes"],
                flash_bytes=run["file_bytes"],
                step_us=run["step_p99_us"],
                instructions=None,
                step_audio_ms=run["step_audio_ms"],
                # A file that is not of ours is the user's own.
                trained=bool(found) or name is None,
                get="" if name is None else row["get"] if row else _get(name),
                quality={q.measure: q for q in found},
            )
        )
    return options


def _get(name: str) -> str:
    """How to come by one of our models."""
    base = name.removesuffix("-native")
    if base not in bundled():
        return TRAIN
    return "comes with edgeseq" if name == base else f"edgeseq export {base} --target native"


def _own_quality(run: Mapping[str, Any]) -> Iterable[Quality]:
    if run["metric"] is not None and run["metric_name"]:
        words = f"{run['metric_name']} in {run['input']}"
        yield Quality(words, float(run["metric"]), run["metric_name"] == BITS)


def _quality(row: Mapping[str, Any]) -> Quality:
    return Quality(row["measure"], row["value"], BITS in row["measure"])


def counted(task: str) -> list[Option]:
    """The integer programs of one task on a Cortex-M4, as counted in an emulator.

    Each computes bit for bit what its native file computes, so that it is as good.
    """
    table = reference.cortex_m4()
    native = {o.model: o for o in measured(reference.computer(), task)}
    options = []
    for row in table["rows"]:
        if row["task"] != task:
            continue
        same = native.get(f"{row['model']}-native")
        get = f"edgeseq export {row['model']} --target firmware -o firmware"
        trained = same is not None and same.trained
        options.append(
            Option(
                model=row["model"],
                task=task,
                family=row["family"],
                shape=row["shape"],
                window=row["left_context"],
                precision="int8",
                backend="firmware",
                threads=1,
                parameters=row["parameters"],
                ram_bytes=row["arena_bytes"],
                flash_bytes=row["flash_bytes"] + table["engine_bytes"],
                step_us=None,
                instructions=row["instructions"],
                step_audio_ms=row["step_audio_ms"],
                trained=trained,
                get=get if trained else TRAIN,
                quality=same.quality if same is not None else {},
            )
        )
    return options


def slower_of_same(options: Sequence[Option]) -> list[Option]:
    """One option for each model, backend and number of threads: of several files the worst."""
    found: dict[tuple[object, ...], Option] = {}
    for option in options:
        key = option.model, option.network, option.precision, option.backend, option.threads
        other = found.get(key, option)
        found[key] = replace(
            other,
            ram_bytes=max(option.ram_bytes, other.ram_bytes),
            flash_bytes=max(option.flash_bytes, other.flash_bytes),
            step_us=max(option.step_us or 0.0, other.step_us or 0.0) or None,
        )
    return list(found.values())
