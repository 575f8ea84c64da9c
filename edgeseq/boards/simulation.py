"""A firmware folder, built for a board and run there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ParityError, StateError, ToolError
from ..runtime import Session
from ..runtime.backend import Array
from ..spec import State
from ..stream import Stream
from .board import Board, board_target, need_tools
from .emulator import SHIFT, BoardStepper
from .folder import FirmwareFolder, check_audio
from .linked import Piece, linked_pieces
from .toolchain import c_sources

__all__ = ["Measured", "Simulation", "Sizes"]

PROGRAM = "simulate"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of what the linker kept.

    Attributes:
        model: constant data of the model.
        engine: code and tables of the engine.
        other: code and constants of the rest: start-up, the program, functions of the C library.
        arena: the memory that the engine works in.
        static: variables besides it: buffers for a frame and its logits.
    """

    model: int
    engine: int
    other: int
    arena: int
    static: int

    @property
    def flash(self) -> int:
        """Everything that lies in flash."""
        return self.model + self.engine + self.other


@dataclass(frozen=True, slots=True)
class Measured:
    """What a program takes on its board.

    Attributes:
        sizes: what the linker kept.
        stack: deepest stack of the whole run; the emulated board has no interrupts.
        kernels: kernels of the engine that ran.
        steps: how many steps were counted.
        median: instructions of a step, median.
        longest: instructions of the longest step.
        macs: multiply-accumulates of a step.
        step_seconds: audio that a step is for.
        most_per_cycle: instructions that the real processor can begin in one cycle, at most.
    """

    sizes: Sizes
    stack: int
    kernels: str
    steps: int
    median: int
    longest: int
    macs: int
    step_seconds: float
    most_per_cycle: int

    @property
    def ram(self) -> int:
        """Arena, stack and variables."""
        return self.sizes.arena + self.stack + self.sizes.static

    @property
    def instructions_per_mac(self) -> float:
        """Of the whole step, frontend included."""
        return self.median / self.macs

    @property
    def least_mhz(self) -> float:
        """With a slower clock the longest step certainly takes longer than its audio."""
        return self.longest / self.most_per_cycle / self.step_seconds / 1e6


class Simulation:
    """The program of a firmware folder for one board, and the boards that run it.

    Use it as a context manager, or call `close`.
    """

    def __init__(
        self, folder: FirmwareFolder, board: Board, work: Path, extra: Sequence[object] = ()
    ) -> None:
        """Compile and link into the folder `work`.

        Args:
            folder: the model in C.
            board: what to build for.
            work: where object files, map and program go.
            extra: more words for the linker.

        Raises:
            MissingToolError: compiler, C library or emulator are not installed.
            ToolError: the compiler failed.
            ConfigError: the model takes text, or more memory than the emulated board has.
        """
        check_audio(folder.manifest.task, str(folder.path))
        self.folder = folder
        self.board = board
        self._target = board_target(
            board.machine, board.flags, board.ram_bytes, ("-icount", f"shift={SHIFT}"), bare=True
        )
        need_tools()
        self._program = work / f"{PROGRAM}.elf"
        self.sizes = self._build(work, extra)
        self._backend = _BoardBackend(self)
        self.session = Session.over(self._backend, folder.manifest, str(folder.path), "board")

    def _build(self, work: Path, extra: Sequence[object]) -> Sizes:
        engine = work / "engine"
        engine.mkdir()
        objects = self._target.engine(engine)
        model, program, table = work / "model.o", work / f"{PROGRAM}.o", work / f"{PROGRAM}.map"
        include = f"-I{self.folder.path}"
        self._target.compile("-c", include, self.folder.path / "model_data.c", "-o", model)
        source = c_sources() / "port" / "cortex-m" / f"{PROGRAM}.c"
        self._target.compile("-c", include, source, "-o", program)
        try:
            self._target.compile(
                *objects, model, program, *self._target.link, *extra, "-Xlinker", f"-Map={table}",
                f"-Wl,--defsym=PORT_FLASH_BYTES={self.board.flash_bytes}", "-o", self._program,
            )  # fmt: skip
        except ToolError as error:
            if "overflowed" not in str(error):
                raise
            raise ConfigError(
                f"{self.folder.path}: the emulated board {self.board.machine} has "
                f"{self.board.flash_bytes:,} bytes for code and constants and "
                f"{self.board.ram_bytes:,} for data; this model needs more"
            ) from None
        pieces = linked_pieces(table.read_text(errors="replace"))
        return _sizes(pieces, set(map(str, objects)), str(model), str(program))

    def prove(self) -> None:
        """Let the board compute the golden of the folder.

        Raises:
            ParityError: it gives other logits than the exporter did.
        """
        gap = self.session.golden_error()
        if gap:
            raise ParityError(
                f"{self.folder.path}: the program for the board computes other logits than the "
                f"export did, by up to {gap:g}; export the model again, or try another compiler"
            )
        self._backend.close()

    def stream(self, decoding: Mapping[str, object] | None = None) -> Stream:
        """A stream whose model runs on a fresh board, and whose decoder runs here."""
        return Stream(self.session, decoding=decoding)

    def measured(self) -> Measured:
        """End the board of the last stream, and tell what it took.

        Raises:
            ConfigError: not a single step was made.
            ToolError: the program on the board failed.
        """
        stepper = self._backend.last
        if stepper is None or not stepper.instructions:
            raise ConfigError(
                f"{self.folder.path}: nothing was heard, so that nothing can be measured"
            )
        stepper.close()
        manifest = self.folder.manifest
        return Measured(
            sizes=self.sizes,
            stack=stepper.stack_bytes,
            kernels=stepper.kernels,
            steps=len(stepper.instructions),
            median=round(median_low(stepper.instructions)),
            longest=round(max(stepper.instructions)),
            macs=manifest.macs_per_frame,
            step_seconds=manifest.timing.step_seconds,
            most_per_cycle=self.board.most_per_cycle,
        )

    def start(self) -> BoardStepper:
        """A fresh board that runs the program."""
        return BoardStepper(
            self._target.command(self._program),
            self.folder.manifest,
            self.folder.output_fraction,
            self.board,
        )

    def close(self) -> None:
        """End every board; may be called twice."""
        self._backend.close()

    def __enter__(self) -> Self:
        """The simulation itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every board."""
        self.close()


class _BoardBackend:
    """Boards that run one program, one for each stream."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._steppers: list[BoardStepper] = []

    @property
    def last(self) -> BoardStepper | None:
        """The board that was started last."""
        return self._steppers[-1] if self._steppers else None

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """Refused: a board has its own state."""
        raise StateError("an emulated board cannot step from a given state; use a stream")

    def stepper(self) -> BoardStepper:
        """A fresh board."""
        self._steppers.append(self._simulation.start())
        return self._steppers[-1]

    def close(self) -> None:
        """End all boards."""
        for stepper in self._steppers:
            stepper.kill()
        self._steppers.clear()


def _sizes(pieces: Iterable[Piece], engine: set[str], model: str, program: str) -> Sizes:
    total = dict.fromkeys(("model", "engine", "other", "arena", "static"), 0)
    for piece in pieces:
        if piece.in_flash:
            part = "model" if piece.file == model else "engine" if piece.file in engine else "other"
            total[part] += piece.size
        if piece.in_ram:
            arena = piece.file == program and piece.section == ".bss.arena"
            total["arena" if arena else "static"] += piece.size
    return Sizes(**total)
