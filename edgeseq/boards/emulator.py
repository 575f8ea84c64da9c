"""A model on an emulated board, as a stepper: a frame goes in by one pipe, logits come by another.

The other end is firmware_sim/port/cortex-m/simulate.c, which says what goes through the pipes.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import StateError, ToolError
from ..frontends import to_int16
from ..manifest import Manifest
from ..runtime.backend import Array
from ..spec import State
from .board import Board

__all__ = ["SHIFT", "BoardStepper"]

SHIFT = 5
"""QEMU's -icount: an instruction takes 2^5 ns of the board's time. So a tick of 40 ns is 1.25
instructions, and the timer's 24 bits are enough for 16 million."""

STEP, RESET = 0, 1
TOO_LONG = 2**32 - 1
TIMER_BITS = 24
REPORT_BYTES = 16

FAILED = {
    1: "it cannot read or write its files",
    2: "the engine refuses the model",
    3: "the engine refuses an input",
    99: "it faults: the stack or a pointer has left the memory",
}
"""What the program's exit codes mean."""

LOOK_SECONDS = 0.5
SILENT_SECONDS = 120.0
"""A step that takes longer than this is taken for a hang."""

END_SECONDS = 10.0


class BoardStepper:
    """One stream's emulated board, running until `close`.

    Attributes:
        instructions: of every step since the start, as exactly as the timer can tell.
        stack_bytes: deepest stack of the whole program; known after `close`.
        kernels: name of the kernels in use; known after `close`.
    """

    def __init__(self, command: list[str], manifest: Manifest, fraction: int, board: Board) -> None:
        """Start the emulator.

        Args:
            command: the words that start it.
            manifest: of the model in the program.
            fraction: bits after the point of its logits.
            board: what it runs on.
        """
        self.instructions: list[float] = []
        self.stack_bytes = 0
        self.kernels = ""
        self._per_tick = 1e9 / board.clock_hz / 2**SHIFT
        self._frame = np.zeros(1 + manifest.timing.hop, "<i2")
        self._answer_bytes = 2 * (2 + manifest.output_dim)
        self._y = np.zeros((1, 1, manifest.output_dim), np.float32)
        self._scale = np.float32(2.0**-fraction)
        self._folder = tempfile.TemporaryDirectory(prefix="edgeseq-board-")
        # What the emulator says: a file, since nobody reads a pipe while it runs.
        self._words = tempfile.TemporaryFile()
        self._pipes: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start(command, Path(self._folder.name))
        except BaseException:
            self.kill()
            raise

    def _start(self, command: list[str], folder: Path) -> None:
        for name in ("frames", "answers"):
            os.mkfifo(folder / name)
            # For both directions, so that opening it waits for nobody.
            self._pipes.append(os.open(folder / name, os.O_RDWR | os.O_NONBLOCK))
        # In a session of its own: Ctrl-C is for us, and what was heard until then is still told.
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self._words,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def step(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits `[1, 1, V]` for the frame `x` `[1, 1, D]`; the next step overwrites the array."""
        self._frame[0] = STEP
        self._frame[1:] = to_int16(x).reshape(-1)
        ticks, logits = self._ask()
        if ticks == TOO_LONG:
            most = 2**TIMER_BITS * self._per_tick
            raise ToolError(
                f"a step takes more than the {most:,.0f} instructions that the timer of the "
                "emulated board can count; the model is too large to be simulated"
            )
        self.instructions.append(ticks * self._per_tick)
        np.multiply(logits, self._scale, out=self._y[0, 0])
        return self._y

    def reset(self) -> None:
        """Go back to the state at the start of a stream."""
        self._frame[0] = RESET
        self._ask()

    def state(self) -> State:
        """Refused: the state stays on the board."""
        raise StateError("a stream on an emulated board cannot be saved")

    def restore(self, state: Mapping[str, Array]) -> None:
        """Refused: the state stays on the board."""
        raise StateError("a stream on an emulated board cannot be restored")

    def close(self) -> None:
        """End the program, and learn what it tells at its end; may be called twice."""
        if self._process is None:
            return
        try:
            os.close(self._pipes.pop(0))
            report = self._read(REPORT_BYTES)
            self.stack_bytes = int.from_bytes(report[:4], "little")
            self.kernels = report[4:].rstrip(b"\0").decode("ascii")
            if self._process.wait(END_SECONDS):
                raise self._failure()
        finally:
            self.kill()

    def _ask(self) -> tuple[int, npt.NDArray[np.int16]]:
        """Send the frame; ticks and logits of the answer."""
        self._write(self._frame.tobytes())
        data = self._read(self._answer_bytes)
        return int.from_bytes(data[:4], "little"), np.frombuffer(data, "<i2", offset=4)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._wait(self._pipes[0], select.POLLOUT)
            left = left[os.write(self._pipes[0], left) :]

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._wait(self._pipes[-1], select.POLLIN)
            data += os.read(self._pipes[-1], count - len(data))
        return bytes(data)

    def _wait(self, pipe: int, for_what: int) -> None:
        """Until `pipe` is ready; ToolError when the emulator has ended or hangs."""
        if self._process is None:
            raise ToolError("the emulator has ended")
        poll = select.poll()
        poll.register(pipe, for_what)
        for _ in range(round(SILENT_SECONDS / LOOK_SECONDS)):
            if poll.poll(1000 * LOOK_SECONDS):
                return
            # Looked at once more: the last answer may have come just before the end.
            if self._process.poll() is not None and not poll.poll(0):
                raise self._failure()
        raise ToolError(f"the emulated board has not answered for {SILENT_SECONDS:.0f} s")

    def _failure(self) -> ToolError:
        assert self._process is not None
        code = self._process.wait()
        self._words.seek(0)
        said = self._words.read().decode(errors="replace").strip()
        reason = FAILED.get(code, f"exit code {code}")
        return ToolError(f"the program on the emulated board failed: {said or reason}")

    def kill(self) -> None:
        """End the emulator at once, and give everything back; may be called twice."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            # Not SIGTERM: the emulator does not look at it while a program reads from a pipe.
            process.kill()
            process.wait()
        while self._pipes:
            os.close(self._pipes.pop())
        self._words.close()
        self._folder.cleanup()
