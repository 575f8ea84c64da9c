"""`edgeseq advise`: which model, size, window, precision and backend for a device."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import click

from ..errors import ConfigError
from ..profile import reference
from ..profile.choice import Advice, Limits, advise
from ..profile.devices import DEVICES, Device, device_of
from ..profile.document import Document, read
from ..profile.options import Option, counted, measured, slower_of_same
from .lines import visible
from .quantities import parse_size, parse_time
from .reasons import answer, basis_words, change_words, ruled_out_words, why

TASKS = ("keyword", "vad", "bytes")


@dataclass(frozen=True, slots=True)
class Basis:
    """What the answer rests on.

    Attributes:
        kind: `measured` (the user's files), `reference` (ours, of such a device), `instructions`
            (counted, no latency), `estimate` (ours times --slower) or `bytes` (ours for sizes, no
            claim about time).
        machines: what was measured on, by file.
        options: what was measured.
        notes: what else is to be known.
    """

    kind: str
    machines: dict[str, str]
    options: list[Option]
    notes: list[str]


@click.command()
@click.argument("files", nargs=-1, metavar="[PROFILE.json]...")
@click.option("--task", required=True, type=click.Choice(TASKS), help="What the model is to do.")
@click.option("--device", required=True, type=click.Choice(list(DEVICES)), help="Where it runs.")
@click.option(
    "--ram", callback=parse_size, metavar="SIZE",
    help="Memory at most: of the whole process, or the arena on a microcontroller.",
)  # fmt: skip
@click.option(
    "--flash", callback=parse_size, metavar="SIZE",
    help="Room for the model file, or for weights and engine on a microcontroller.",
)  # fmt: skip
@click.option(
    "--step-budget", callback=parse_time, metavar="TIME",
    help="Longest step: 99 of 100 must take less.",
)  # fmt: skip
@click.option(
    "--slower", type=click.FloatRange(0.01, 10_000.0), metavar="N",
    help="Your assumption: the device is N times slower than what was measured.",
)  # fmt: skip
@click.option(
    "--clock-mhz", type=click.FloatRange(0.1, 10_000.0), metavar="N",
    help="Clock of the microcontroller, which turns instructions into a least time.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    files: tuple[str, ...],
    task: str,
    device: str,
    ram: float | None,
    flash: float | None,
    step_budget: float | None,
    slower: float | None,
    clock_mhz: float | None,
    as_json: bool,
) -> None:
    """Recommend a model for a device from measurements, and say why.

    PROFILE.json are your own measurements (edgeseq profile -o PROFILE.json). Those of the asked
    device decide alone; without any, measurements that come with edgeseq do. Of a device that
    nobody has measured no time is claimed, unless --slower says what to assume.
    """
    asked = DEVICES[device]
    micro = device == "cortex-m4"
    if clock_mhz is not None and not micro:
        raise click.UsageError(
            "--clock-mhz goes with --device cortex-m4, whose instructions we counted"
        )
    if slower is not None and micro:
        raise click.UsageError("--slower goes with measured times; a cortex-m4 has --clock-mhz")
    basis = _basis(asked, task, files, slower)
    timed = basis.kind not in ("bytes", "instructions")
    factor = (slower or 1.0) if timed else None
    limits = Limits(ram, flash, step_budget, factor, clock_mhz)
    advice = advise(basis.options, limits)
    if as_json:
        print(json.dumps(_document(asked, task, limits, basis, advice)))
        return
    for line in (*answer(advice, task, asked), *_sections(advice, limits, basis, asked)):
        print(visible(line))


def _sections(advice: Advice, limits: Limits, basis: Basis, asked: Device) -> list[str]:
    parts = {
        "why": why(advice, limits),
        "ruled out": ruled_out_words(advice, limits),
        "what would change it": change_words(advice, limits),
        "measured on": [
            *basis_words(basis.kind, basis.machines, asked, limits, advice),
            *basis.notes,
        ],
    }
    return [
        line
        for title, lines in parts.items()
        if lines
        for line in (f"{title}:", *(f"  {words}" for words in lines))
    ]


def _basis(asked: Device, task: str, files: tuple[str, ...], slower: float | None) -> Basis:
    """The user's measurements of this device, or else those that come with edgeseq."""
    double = sorted({file for file in files if files.count(file) > 1})
    if double:
        raise ConfigError(f"{', '.join(double)}: given twice; name each profile once")
    documents = {file: read(file) for file in files}
    own, notes = {}, []
    for file, document in documents.items():
        found = device_of(document["machine"])
        if found == asked.name:
            own[file] = document
        else:
            notes.append(
                f"{file} is of {_machine(document)} ({found or 'none of our devices'}), so it was "
                f"left out"
            )
    if own:
        options = [option for document in own.values() for option in measured(document, task)]
        if not options:
            raise ConfigError(
                f"{', '.join(own)}: has no run of a {task} model; measure one there with: "
                "edgeseq profile MODEL -o FILE.json"
            )
        kind = "measured" if slower is None else "estimate"
        machines = {file: _machine(document) for file, document in own.items()}
        return Basis(kind, machines, slower_of_same(options), notes)
    if asked.name == "cortex-m4":
        table = reference.cortex_m4()
        return Basis("instructions", {"reference": table["counted_by"]}, counted(task), notes)
    ours = reference.computer()
    same = device_of(ours["machine"]) == asked.name
    kind = "estimate" if slower is not None else "reference" if same else "bytes"
    return Basis(kind, {"reference": _machine(ours)}, measured(ours, task), notes)


def _machine(document: Document) -> str:
    machine = document["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores"


def _document(
    asked: Device, task: str, limits: Limits, basis: Basis, advice: Advice
) -> dict[str, Any]:
    """The answer as plain values; docs/choosing.md describes them."""

    def plain(option: Option | None) -> dict[str, Any] | None:
        if option is None:
            return None
        quality = option.quality.get(advice.measure or "")
        return {
            "model": option.model, "family": option.family, "shape": option.shape,
            "window": option.window, "precision": option.precision, "backend": option.backend,
            "threads": option.threads, "parameters": option.parameters,
            "ram_bytes": option.ram_bytes, "flash_bytes": option.flash_bytes,
            "step_us": limits.time_us(option) if option.instructions is None else None,
            "instructions": option.instructions, "trained": option.trained, "get": option.get,
            "quality": None if quality is None else quality.value,
        }  # fmt: skip

    return {
        "format": "edgeseq.advice",
        "version": 1,
        "asked": {
            "task": task, "device": asked.name, "ram_bytes": limits.ram_bytes,
            "flash_bytes": limits.flash_bytes, "step_us": limits.step_us,
            "slower": limits.slower, "clock_mhz": limits.clock_mhz,
        },
        "basis": {"kind": basis.kind, "machines": basis.machines},
        "measure": advice.measure,
        "recommended": plain(advice.best),
        "why": why(advice, limits),
        "fitting": [plain(option) for option in advice.fitting],
        "ruled_out": {
            name: [plain(option) for option in found] for name, found in advice.ruled_out.items()
        },
        "changes": [
            {"limit": c.limit, "value": c.value, "below": c.below, "option": plain(c.option)}
            for c in advice.changes
        ],
        "notes": [
            *basis_words(basis.kind, basis.machines, asked, limits, advice), *basis.notes,
        ],
    }  # fmt: skip
