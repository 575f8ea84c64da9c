"""The measurements that `edgeseq advise` brings along: edgeseq/assets/reference/*.json.

    python -m benchmarks.reference computer     step time and memory here, by the profiler
    python -m benchmarks.reference cortex-m4    flash, arena, instructions on an emulated Cortex-M4
    python -m benchmarks.reference models --models DIR    only the files, to be profiled elsewhere

The networks are those of reference_models.py. The first takes about fifteen minutes on one core and
wants a quiet machine; the second needs gcc-arm-none-eabi and qemu-system-arm. An instruction count
is no latency: QEMU knows no cycles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeseq import __version__
from edgeseq.assets import bundled
from edgeseq.profile.probe import Job, default_input
from edgeseq.profile.reference import INSTRUCTIONS, VERSION
from edgeseq.profile.rounds import Configuration, Profile
from edgeseq.runtime import read_manifest
from edgeseq.runtime.session import backend_of
from edgeseq_export.firmware import export_firmware
from edgeseq_export.read_back import load_weights

from .reference_models import INTEGER, TRAINED_SHAPES, checkpoints, export_all

FOLDER = Path(__file__).parents[1] / "edgeseq" / "assets" / "reference"

SETTLE = 140
"""Steps on the emulated board, so that every cache is full; the longest of the last ones counts."""

DETAILS = ("words", "operators", "histogram", "trace", "rounds")
"""Lists of a run that nothing here reads; without them the file is small."""


def computer(rounds: int, steps: int, models: Path) -> dict[str, Any]:
    """A document of the profiler, made on this machine; `models` keeps the model files."""
    profile = Profile({"rounds": rounds, "steps": steps, "seconds": None})
    configurations = []
    for path in export_all(models):
        manifest = read_manifest(path)
        file, labels = default_input(manifest.input == "bytes")
        job = Job(str(path), backend_of(str(path)), 1, file, labels, steps, 1.0)
        configurations.append(Configuration(path.stem, manifest, job))
    profile.measure(configurations, rounds, _tell)
    document = profile.document()
    trained = {*bundled(), *(f"{name}-native" for name in bundled())}
    for run in document["runs"]:
        run.update({name: [] for name in DETAILS})
        if run["model"] not in trained:
            # Random weights hear nothing.
            run.update(metric=None, false_alarms=None, events=0)
            run.update(word_delay_p50_ms=None, word_delay_max_ms=None)
    return document


def _tell(done: float, total: float, words: str) -> None:
    print(f"{done:.0f}/{total:.0f} {words}", file=sys.stderr)


def cortex_m4() -> dict[str, Any]:
    """Rows of INSTRUCTIONS: what each integer program takes on an emulated mps2-an386 board."""
    from tests.firmware.engine import Target
    from tests.firmware.test_emulated import BOARDS

    plain, _ = BOARDS["cortex-m4"]
    target = replace(
        plain,
        runner=(*plain.runner[:-1], "-icount", "shift=6", "-kernel"),
        # The board has 4 MB; how much of it a model takes is what is told.
        link=(*plain.link, "-Wl,--defsym=PORT_FLASH_BYTES=0x400000"),
    )
    found = [
        (TRAINED_SHAPES.get(name, name), checkpoint, name in TRAINED_SHAPES)
        for name, checkpoint in checkpoints()
        if checkpoint.config.family in INTEGER
    ]
    rows = []
    for name, checkpoint, trained in found:
        real = load_weights(bundled()[name]) if trained else checkpoint
        with tempfile.TemporaryDirectory(prefix="edgeseq") as folder:
            rows.append(_row(name, real, target, Path(folder)))
        print(rows[-1], file=sys.stderr)
    return {
        "format": INSTRUCTIONS,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "edgeseq": __version__,
        "core": "Cortex-M4",
        "counted_by": "QEMU, board mps2-an386, -icount; GCC for Arm, -O2; DSP kernels",
        "engine_bytes": _code(Target, target),
        "rows": rows,
    }


def _row(name: str, checkpoint: Any, target: Any, folder: Path) -> dict[str, Any]:
    result = export_firmware(checkpoint, folder)
    program, config = result.program, checkpoint.config
    text = program.bytes_input
    binary = target.build(folder, "count", folder, f"-DCOUNT_STEPS={SETTLE}")
    ticks = int(target.run(binary).split()[2])
    encoder: Any = config.encoder
    width = encoder.hidden if hasattr(encoder, "hidden") else encoder.dim
    return {
        "model": name,
        "task": checkpoint.facts["task"],
        "family": config.family,
        "shape": f"{encoder.layers}x{width}",
        "left_context": getattr(encoder, "window", None),
        "parameters": checkpoint.model.parameter_count(),
        "macs_per_step": checkpoint.model.macs_per_frame(),
        "step_audio_ms": None if text else 1e3 * program.timing.step_seconds,
        "flash_bytes": result.flash_bytes,
        "arena_bytes": result.arena_bytes,
        "state_bytes": result.state_bytes,
        # A tick of the board's 25 MHz timer is 40 ns, an instruction 2^6 ns of its time.
        "instructions": round(ticks * 40 / 64),
    }


def _code(target_class: type, target: Any) -> int:
    """Bytes of code and tables of the engine, before the linker drops what a model needs not."""
    import subprocess

    from tests.firmware.engine import engine_objects, tool

    sizes = subprocess.run(
        [tool("arm-none-eabi-size"), "-t", *map(str, engine_objects(target))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(sizes.stdout.splitlines()[-1].split()[0])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("computer", "cortex-m4", "models"))
    parser.add_argument("--models", type=Path, default=Path("runs/reference"), metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500, help="timed steps of a round")
    options = parser.parse_args()
    if options.what != "cortex-m4":
        options.models.mkdir(parents=True, exist_ok=True)
    if options.what == "models":
        export_all(options.models)
        return
    if options.what == "computer":
        document = computer(options.rounds, options.steps, options.models)
        name = "x86-64.json"
    else:
        document, name = cortex_m4(), "cortex-m4.json"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(_lines(document), encoding="utf-8")


def _lines(document: dict[str, Any]) -> str:
    """JSON with one line for each run or row, so that a difference can be read."""
    key = "runs" if "runs" in document else "rows"
    rows = ",\n  ".join(json.dumps(_short(row)) for row in document[key])
    head = json.dumps({k: v for k, v in document.items() if k != key})
    return f'{head[:-1]}, "{key}": [\n  {rows}\n]}}\n'


def _short(value: Any) -> Any:
    """Floats to six digits, which is more than any of them means."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
