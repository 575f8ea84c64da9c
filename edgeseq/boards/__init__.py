"""Exported models as firmware on emulated boards: built, run on real input, and measured.

What is said of memory is what the linker kept and what was written to; what is said of time are
instructions, counted by the emulator, and never cycles.
"""

from .board import BOARDS, Board, need_tools
from .fit import Check, Limits, check_fit
from .simulation import Measured, Simulation

__all__ = [
    "BOARDS", "Board", "Check", "Limits", "Measured", "Simulation", "check_fit", "need_tools",
]  # fmt: skip
