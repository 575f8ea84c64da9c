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

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq_export.firmware import pack_state
from edgeseq_export.integer import IntegerProgram

ROOT = Path(__file__).parents[2] / "firmware_sim"
SOURCES = sorted((ROOT / "src").glob("*.c"))
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wvla")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SECONDS = 300
INCLUDES = (f"-I{ROOT / 'include'}", f"-I{ROOT / 'src'}")


def tool(name: str) -> str:
    """Path of a system tool; where it is missing the test is skipped, in CI it fails."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed; `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@dataclass(frozen=True)
class Target:
    """How to build for a processor and how to run what was built.

    Attributes:
        compiler: name of the C compiler.
        flags: for this processor.
        runner: emulator and its options, before the program.
        link: what a program needs besides the engine.
    """

    compiler: str = "gcc"
    flags: tuple[str, ...] = ("-O2",)
    runner: tuple[str, ...] = ()
    link: tuple[str, ...] = ()

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
        command = [tool(self.compiler), *STRICT, *self.flags, *INCLUDES, *map(str, parts)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr

    def run(self, program: Path, *args: object) -> str:
        """What it prints; a failure shows all of it. A board takes no words from a command line."""
        runner = [tool(self.runner[0]), *self.runner[1:]] if self.runner else []
        words = [] if "-kernel" in runner else [str(arg) for arg in args]
        done = subprocess.run(
            [*runner, str(program), *words], capture_output=True, text=True,
            timeout=SECONDS, cwd=program.parent,
        )  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout


@cache
def engine_objects(target: Target) -> tuple[Path, ...]:
    """The engine's object files, compiled once for a target."""
    folder = Path(tempfile.mkdtemp(prefix="edgeseq-engine-"))
    atexit.register(shutil.rmtree, folder)
    objects = tuple(folder / f"{source.stem}.o" for source in SOURCES)
    for source, unit in zip(SOURCES, objects, strict=True):
        target.compile("-c", source, "-o", unit)
    return objects


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
