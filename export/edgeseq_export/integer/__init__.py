"""The integer program: the definition, in numpy, of what the C engine computes bit for bit."""

from .build import build_program
from .calibrate import calibration_input
from .program import IntegerProgram

__all__ = ["IntegerProgram", "build_program", "calibration_input"]
