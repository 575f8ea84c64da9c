"""Builds the C engine with an exported model, runs it, and says what numpy gives for the same."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq.boards import toolchain
from edgeseq.errors import MissingToolError
from edgeseq_export.firmware import pack_state
from edgeseq_export.integer import IntegerProgram

ROOT = toolchain.c_sources()
SOURCES = sorted((ROOT / "src").glob("*.c"))
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wvla")
STRICT = ("-std=c99", *WARNINGS)
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SECONDS = 300
INCLUDES = (f"-I{ROOT / 'include'}", f"-I{ROOT / 'src'}")


def tool(name: str) -> str:
    """Path of a system tool; where it is missing the test is skipped, in CI it fails."""
    try:
        return toolchain.find_tool(name)
    except MissingToolError as error:
        reason = f"{error}; `make test` does"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass(frozen=True)
class Target(toolchain.Target):
    """A target whose compiler takes any warning for an error, and whose runs are looked at."""

    @classmethod
    def strict(cls, target: toolchain.Target) -> Self:
        """The same target for tests."""
        return cls(target.compiler, target.flags, target.runner, target.link)

    def build(self, folder: Path, test: str, model: Path | None, *extra: str) -> Path:
        """Compile the program `test` of `firmware_sim` with the engine (and a model)."""
        out = folder / f"{test}-{self.compiler}{''.join(self.flags[2:3])}"
        parts = [*engine_objects(self), next(ROOT.glob(f"[te]*s/{test}.c"))]
        if model is not None:
            parts += [f"-I{model}", model / "model_data.c"]
        self.compile(*parts, *self.link, "-o", out, *extra)
        return out

    def compile(self, *parts: object) -> None:
        """Call the compiler; any warning is an error."""
        tool(self.compiler)
        super().compile(*WARNINGS, *parts)

    def run(self, program: Path, *args: object) -> str:
        """What it prints; a failure shows all of it. A board takes no words from a command line."""
        if self.runner:
            tool(self.runner[0])
        done = subprocess.run(
            self.command(program, *args), capture_output=True, text=True,
            timeout=SECONDS, cwd=program.parent,
        )  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout


@cache
def engine_objects(target: Target) -> tuple[Path, ...]:
    """The engine's object files, compiled once for a target."""
    folder = Path(tempfile.mkdtemp(prefix="edgeseq-engine-"))
    atexit.register(shutil.rmtree, folder)
    return target.engine(folder)


def expected(program: IntegerProgram, frames: npt.NDArray[np.int16]) -> bytes:
    """What `replay` writes for `frames` `[steps, input_dim]`, by numpy."""
    spec = program.state_spec
    state, parts = spec.zeros(1), []
    for frame in frames:
        y, state = program.step(frame.reshape(1, 1, -1), state)
        checksum = zlib.adler32(pack_state(spec, state))
        parts += [y.astype("<i2").tobytes(), checksum.to_bytes(4, "little")]
    return b"".join([*parts, pack_state(spec, state)])


def first_difference(got: bytes, wanted: bytes, outputs: int) -> str:
    """Where two outputs part, in words; empty when they are equal."""
    if got == wanted:
        return ""
    same = next((i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), None)
    step, at = divmod(min(len(got), len(wanted)) if same is None else same, 2 * outputs + 4)
    what = f"logit {at // 2}" if at < 2 * outputs else "the state's checksum"
    return f"step {step}, {what}; {len(got)} and {len(wanted)} bytes"


def assert_replay_equals(
    target: Target,
    binary: Path,
    frames: npt.NDArray[np.int16],
    wanted: bytes,
    outputs: int,
    kernels: Sequence[str] = (),
) -> str:
    """Run `replay` and compare every logit and every state; gives what it printed."""
    folder = binary.parent
    given, written = folder / "input.bin", folder / "output.bin"
    given.write_bytes(frames.astype("<i2").tobytes())
    written.unlink(missing_ok=True)
    text = target.run(binary, given, written, *kernels)
    difference = first_difference(written.read_bytes(), wanted, outputs)
    assert not difference, f"{binary.name} {' '.join(kernels)}: {difference}"
    assert text.split()[-1] == str(len(frames))
    return text
