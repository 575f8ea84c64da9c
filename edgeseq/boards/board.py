"""The boards that QEMU emulates, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .toolchain import Target, c_sources, find_tool

__all__ = ["BOARDS", "Board", "board_target", "need_tools"]

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Board:
    """A processor on a board that QEMU emulates.

    Attributes:
        machine: QEMU's name of the board.
        flags: of the compiler, for the processor.
        kernels: the engine's kernel sets there, the chosen one first.
        clock_hz: clock of the emulated processor and of its SysTick timer. It says nothing about
            the clock of a real board.
        flash_bytes: emulated memory for code and constants.
        ram_bytes: emulated memory for data.
        most_per_cycle: instructions that the real processor can begin in one cycle, at most.
    """

    machine: str
    flags: tuple[str, ...]
    kernels: tuple[str, ...]
    clock_hz: int
    flash_bytes: int
    ram_bytes: int
    most_per_cycle: int


BOARDS = {
    "cortex-m3": Board(
        "mps2-an385", ("-mcpu=cortex-m3",), ("plain",), 25_000_000, 4 * MIB, 4 * MIB, 1
    ),
    "cortex-m4": Board(
        "mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        ("dsp", "plain"), 25_000_000, 4 * MIB, 4 * MIB, 1,
    ),
    "cortex-m7": Board(
        "mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        ("dsp", "plain"), 25_000_000, 4 * MIB, 4 * MIB, 2,
    ),
    "cortex-m55": Board(
        "mps3-an547", ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
        ("mve", "plain"), 32_000_000, 512 * KIB, 512 * KIB, 2,
    ),
}  # fmt: skip
"""By processor."""


def board_target(
    machine: str, flags: Sequence[str], ram: int, options: Sequence[str] = (), bare: bool = False
) -> Target:
    """How to build and run a program on a board, whose files are those of the working folder.

    Args:
        machine: QEMU's name of the board.
        flags: of the compiler, for the processor.
        ram: bytes of memory for data.
        options: more words for QEMU.
        bare: whether the program needs no console and no exit of the C library.
    """
    port = c_sources() / "port" / "cortex-m"
    console = ("-DPORT_BARE",) if bare else ("--specs=rdimon.specs",)
    return Target(
        COMPILER,
        ("-O2", "-mthumb", *flags, "-ffunction-sections", "-fdata-sections"),
        (
            EMULATOR, "-M", machine, "-nographic", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", *options, "-kernel",
        ),
        (
            str(port / "start.c"), "-T", str(port / "board.ld"), *console,
            "-nostartfiles", f"-Wl,--gc-sections,--defsym=PORT_RAM_BYTES={ram}",
        ),
    )  # fmt: skip


def need_tools() -> None:
    """Raise MissingToolError when the compiler or the emulator of the boards is not installed."""
    find_tool(COMPILER)
    find_tool(EMULATOR)
