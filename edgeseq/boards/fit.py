"""Whether a program fits into the memory and the clock of a board: what is certain, and no more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .simulation import Measured

__all__ = ["Check", "Limits", "check_fit", "rounded_up"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a board offers; None where that is not asked.

    Attributes:
        clock_mhz: clock of the processor.
        flash_bytes: flash.
        ram_bytes: RAM.
    """

    clock_mhz: float | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One limit.

    Attributes:
        what: flash, RAM or clock.
        fits: False when it certainly does not. True says of memory that this program fits, and of
            the clock only that nothing is certain.
        words: with the numbers.
    """

    what: str
    fits: bool
    words: str


def check_fit(measured: Measured, limits: Limits) -> list[Check]:
    """A check for each limit that is given.

    Instructions are no cycles: a processor begins at most `most_per_cycle` in one, and waits for
    memory, branches and long instructions. So a clock can be excluded, and never promised.
    """
    checks = []
    for what, need, limit, own in (
        ("flash", measured.sizes.flash, limits.flash_bytes, "your program's own code"),
        ("RAM", measured.ram, limits.ram_bytes, "interrupts and your program's own data"),
    ):
        if limit is None:
            continue
        room = limit - need
        if room < 0:
            words = f"does not fit: {need:,} of {limit:,} bytes, {-room:,} too many"
        else:
            words = f"fits: {need:,} of {limit:,} bytes; {room:,} are left for {own}"
        checks.append(Check(what, room >= 0, words))
    if limits.clock_mhz is not None:
        checks.append(_check_clock(measured, limits.clock_mhz))
    return checks


def rounded_up(value: float) -> float:
    """`value` in three digits, not less than it is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / unit) * unit


def _check_clock(measured: Measured, mhz: float) -> Check:
    cycles = mhz * 1e6 * measured.step_seconds
    most = cycles * measured.most_per_cycle
    audio = f"the {1000 * measured.step_seconds:g} ms of its audio are {cycles:,.0f} cycles"
    pace = f"at most {measured.most_per_cycle} a cycle"
    step = f"the longest step takes {measured.longest:,} instructions"
    if measured.longest > most:
        return Check(
            "clock", False, f"cannot fit: {step}, {pace}, and {audio}; "
            f"it needs at least {rounded_up(measured.least_mhz):g} MHz",
        )  # fmt: skip
    return Check(
        "clock", True, f"not excluded: {step}, {pace}, and {audio}; these are "
        "instructions, not cycles: only the board can tell the time",
    )  # fmt: skip
