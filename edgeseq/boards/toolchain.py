"""C compilers for other processors, what they compile, and the emulators that run it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, MissingToolError, ToolError

__all__ = ["Target", "c_sources", "find_tool"]

PACKAGES = {
    "gcc": "gcc",
    "clang": "clang",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-aarch64": "qemu-user",
}
"""Debian package by program."""

C_LIBRARY = "libnewlib-arm-none-eabi"
"""Debian package of the C library for bare boards, which the compiler only recommends."""


def c_sources() -> Path:
    """The folder with include/, src/ and port/ of the C engine: in a wheel, or in a checkout.

    Raises:
        ConfigError: this installation has none.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "_firmware", package.parent / "firmware_sim"):
        if (folder / "include" / "edgeseq.h").exists():
            return folder
    raise ConfigError(
        "this installation lacks the engine's C sources; install edgeseq from a wheel or a checkout"
    )


def find_tool(name: str) -> str:
    """Path of a program.

    Raises:
        MissingToolError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(name, PACKAGES.get(name, name))
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

    def compile(self, *parts: object) -> None:
        """Call the compiler.

        Raises:
            MissingToolError: it is not installed, or the C library for it is not.
            ToolError: it failed; its first error is in the message.
        """
        root = c_sources()
        includes = (f"-I{root / 'include'}", f"-I{root / 'src'}")
        # -pipe: a compiler that is killed leaves no files of its own behind.
        words = ["-pipe", "-std=c99", *self.flags, *includes, *map(str, parts)]
        code, said = _run([find_tool(self.compiler), *words])
        if code == 0:
            return
        if re.search(r"\b(std\w+|string)\.h: No such file|cannot find -lc\b", said):
            raise MissingToolError(f"the C library of {self.compiler}", C_LIBRARY)
        lines = said.splitlines()
        first = next((line for line in lines if "error" in line or "overflow" in line), "")
        raise ToolError(f"{self.compiler} failed: {first or said[-500:]}")

    def engine(self, folder: Path) -> tuple[Path, ...]:
        """The engine's object files, compiled into `folder`; errors as for `compile`."""
        objects = []
        for source in sorted((c_sources() / "src").glob("*.c")):
            objects.append(folder / f"{source.stem}.o")
            self.compile("-c", source, "-o", objects[-1])
        return tuple(objects)

    def command(self, program: Path, *args: object) -> list[str]:
        """The words that run `program`; a board takes no words from a command line.

        Raises:
            MissingToolError: the emulator is not installed.
        """
        runner = [find_tool(self.runner[0]), *self.runner[1:]] if self.runner else []
        words = [] if "-kernel" in runner else [str(arg) for arg in args]
        return [*runner, str(program), *words]


def _run(words: Sequence[str]) -> tuple[int, str]:
    """Exit code and stderr of a program; when we are interrupted, it ends with all its children."""
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            _, said = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said
