"""`edgeseq simulate`: a model as firmware on an emulated board, on real audio."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..assets import resolve
from ..boards import BOARDS, Board, Check, Limits, Measured, Simulation, check_fit, need_tools
from ..boards.fit import rounded_up
from ..boards.folder import FirmwareFolder, check_audio, read_folder
from ..errors import AudioError, ConfigError, MissingExtraError
from ..events import Event
from ..sources import Block, Source, open_audio
from .figures import wide_console
from .follow import Output, Run, Track
from .interrupt import Interrupt
from .lines import JsonLines, PlainLines, print_json, visible
from .progress import Progress
from .quantities import parse_size

DOES_NOT_FIT = 3
"""Exit code."""

TOLD_SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""


SHORT = {name.removeprefix("cortex-"): name for name in BOARDS}
"""Boards by what their processors are called for short, such as m4."""


@click.command()
@click.argument("model", metavar="DIR|MODEL")
@click.option(
    "--board", type=click.Choice([*BOARDS, *SHORT]), required=True,
    callback=lambda ctx, parameter, name: SHORT.get(name, name), help="Processor to build for.",
)  # fmt: skip
@click.option("--wav", metavar="FILE", required=True, help="Audio to hear; - is standard input.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Stop after N seconds of audio.",
)  # fmt: skip
@click.option(
    "--clock-mhz", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Clock of the board's processor.",
)  # fmt: skip
@click.option(
    "--flash", callback=parse_size, metavar="SIZE", help="Flash of the board, 512k for example."
)
@click.option("--ram", callback=parse_size, metavar="SIZE", help="RAM of the board.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: the events, then the figures.")
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    board: str,
    wav: str,
    seconds: float | None,
    clock_mhz: float | None,
    flash: int | None,
    ram: int | None,
    as_json: bool,
) -> None:
    """Build a model for a Cortex-M board, run it there under QEMU, and say what it takes.

    DIR is a folder of `edgeseq export --target firmware`. A checkpoint, an int8 .onnx file or a
    bundled model is exported first (extra: export).

    The board computes every logit, from the audio on; the decoder, which is no part of the C
    engine, runs here. Flash is what the linker kept, stack what was written to. Instructions are
    counted by the emulator and are not cycles: they can exclude a clock, never promise it.
    Simulate only folders that you have made: their code reaches your files.

    Exit code 3 when the model does not fit the given flash or RAM, or cannot fit the clock.
    """
    # Before minutes of exporting and compiling, not after them.
    need_tools()
    source = open_audio(wav)
    try:
        with tempfile.TemporaryDirectory(prefix="edgeseq-simulate-") as work:
            fits = _simulate(
                model, board, source, Path(work), seconds,
                Limits(clock_mhz, flash, ram), as_json,
            )  # fmt: skip
    finally:
        source.close()
    if not fits:
        ctx.exit(DOES_NOT_FIT)


def _simulate(
    model: str,
    board: str,
    source: Source,
    work: Path,
    seconds: float | None,
    limits: Limits,
    as_json: bool,
) -> bool:
    """Build, run and print; whether nothing is known that excludes it."""
    progress = Progress()
    try:
        folder = _folder(model, work, progress)
        progress.tell(0, 0, f"compiling for {board}")
        with Simulation(folder, BOARDS[board], work) as simulation:
            progress.tell(0, 0, "comparing the golden output")
            simulation.prove()
            track = Track(folder.manifest.name, simulation.stream())
            with Interrupt() as interrupt:
                lines: Output = JsonLines() if as_json else PlainLines([track])
                # First, so that it takes its bar away before an event is written.
                run = Run(source, [track], [_Heard(progress, source), lines], seconds)
                failure = _hear(run, interrupt)
                progress.end()
                measured = simulation.measured()
                checks = check_fit(measured, limits)
                _print(board, track, measured, checks, as_json, interrupt.requested)
                for note in source.notes:
                    print(f"note: {visible(note)}", file=sys.stderr)
                if failure is not None:
                    raise failure
                if interrupt.requested:
                    raise KeyboardInterrupt
    finally:
        progress.end()
    return all(check.fits for check in checks)


def _hear(run: Run, interrupt: Interrupt) -> AudioError | None:
    """Run to the end; what was wrong with the rest of audio that could be heard in part."""
    failure = None
    try:
        run.feed(interrupt)
    except AudioError as error:
        if not run.pushed:
            raise
        failure = error
    run.flush()
    return failure


def _folder(model: str, work: Path, progress: Progress) -> FirmwareFolder:
    """The folder `model`, or a new one in `work` from the model of that name."""
    path = Path(model)
    if path.is_dir():
        return read_folder(path)
    if path.suffix == ".esq":
        raise ConfigError(
            f"{model}: weights cannot be read back from .esq files; give the checkpoint, the int8 "
            ".onnx file, or a folder of edgeseq export --target firmware"
        )
    resolve(model)
    progress.tell(0, 0, f"exporting {model}")
    try:
        from edgeseq_export.firmware import export_firmware
        from edgeseq_export.read_back import load_weights
    except ImportError as error:
        raise MissingExtraError(
            error.name or "torch", "export", f"simulating {model}, which is no firmware folder,"
        ) from error
    checkpoint = load_weights(path)
    check_audio(checkpoint.facts["task"], model)
    export_firmware(checkpoint, work / "model")
    return read_folder(work / "model")


class _Heard:
    """Tells how far the audio has come."""

    def __init__(self, progress: Progress, source: Source) -> None:
        self._progress = progress
        self._rate = source.sample_rate or 1
        self._tty = sys.stderr is not None and sys.stderr.isatty()
        self._samples = 0
        self._began = self._told = monotonic()

    def hear(self, block: Block) -> None:
        """Count the audio."""
        self._samples += len(block.samples) + block.lost

    def events(self, track: Track, events: list[Event]) -> None:
        """Make room for the lines of the events."""
        self._progress.end()

    def tick(self) -> None:
        """Say how much was heard."""
        now = monotonic()
        if self._tty or now >= self._told + TOLD_SECONDS:
            self._told = now
            heard = self._samples / self._rate
            pace = heard / max(now - self._began, 1e-9)
            self._progress.tell(0, 0, f"{heard:,.1f} s heard, {pace:.1f} s a second")


def _print(
    board: str,
    track: Track,
    measured: Measured,
    checks: Sequence[Check],
    as_json: bool,
    interrupted: bool,
) -> None:
    if as_json:
        print_json(_document(board, track, measured, checks, interrupted))
        return
    console = wide_console()
    console.print(_table(board, BOARDS[board], track, measured))
    console.print("Instructions are no cycles. Events were decoded here, from the board's logits.")
    for check in checks:
        console.print(f"{check.what}: {check.words}")
    if interrupted:
        console.print("interrupted: the stack may get deeper, and steps longer, in the rest")


def _document(
    board: str, track: Track, measured: Measured, checks: Sequence[Check], interrupted: bool
) -> dict[str, Any]:
    sizes = measured.sizes
    return {
        "model": track.name,
        "event": "simulation",
        "board": board,
        "machine": BOARDS[board].machine,
        "kernels": measured.kernels,
        "stream_seconds": round(track.stream.seconds, 6),
        "events": dict(track.counts),
        "steps": measured.steps,
        "step_seconds": measured.step_seconds,
        "flash_bytes": sizes.flash,
        "model_bytes": sizes.model,
        "engine_bytes": sizes.engine,
        "other_bytes": sizes.other,
        "ram_bytes": measured.ram,
        "arena_bytes": sizes.arena,
        "stack_bytes": measured.stack,
        "static_bytes": sizes.static,
        "instructions_median": measured.median,
        "instructions_longest": measured.longest,
        "macs_per_step": measured.macs,
        "instructions_per_mac": round(measured.instructions_per_mac, 4),
        "least_mhz": round(measured.least_mhz, 4),
        "checks": [asdict(check) for check in checks],
        "interrupted": interrupted,
    }


def _table(name: str, board: Board, track: Track, measured: Measured) -> Table:
    sizes = measured.sizes
    table = Table(title=Text(visible(track.name)), title_justify="left")
    table.add_column("")
    table.add_column(f"{name} (QEMU {board.machine})", justify="right")
    for words, value in (
        ("flash: data of the model", f"{sizes.model:,} bytes"),
        ("flash: code and tables of the engine", f"{sizes.engine:,} bytes"),
        ("flash: start-up, this program, C library", f"{sizes.other:,} bytes"),
        ("flash", f"{sizes.flash:,} bytes"),
        ("RAM: arena", f"{sizes.arena:,} bytes"),
        ("RAM: deepest stack", f"{measured.stack:,} bytes"),
        ("RAM: other variables", f"{sizes.static:,} bytes"),
        ("RAM", f"{measured.ram:,} bytes"),
        ("kernels of the engine", measured.kernels),
        ("steps", f"{measured.steps:,} of {1000 * measured.step_seconds:g} ms"),
        ("instructions of a step, median", f"{measured.median:,}"),
        ("instructions of the longest step", f"{measured.longest:,}"),
        ("multiply-accumulates of a step", f"{measured.macs:,}"),
        ("instructions per multiply-accumulate", f"{measured.instructions_per_mac:.2f}"),
        (
            f"least clock, at {measured.most_per_cycle} a cycle",
            f"{rounded_up(measured.least_mhz):g} MHz",
        ),
    ):
        table.add_row(words, value)
    return table
