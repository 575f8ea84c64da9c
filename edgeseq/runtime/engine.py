"""The compiled C engine: where it lies, what it offers, and whether this installation has it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int32, c_size_t, c_void_p
from functools import cache
from importlib import import_module
from pathlib import Path

from ..errors import ConfigError

__all__ = ["LIBRARY", "EsModel", "build_digest", "fast_step", "kernels", "library", "status_text"]

LIBRARY = Path(__file__).parents[1] / "_engine.abi3.so"
"""Compiled by hatch_build.py when the package is installed, where there is a C compiler."""

STATUS = c_int32


class EsLayer(ctypes.Structure):
    """es_layer of firmware_sim/include/edgeseq.h."""

    _fields_ = (("kind", c_int32), ("params", c_void_p))


class EsModel(ctypes.Structure):
    """es_model of firmware_sim/include/edgeseq.h."""

    _fields_ = (
        ("format", c_int32),
        ("input_dim", c_int32),
        ("output_dim", c_int32),
        ("output_fraction", c_int32),
        ("layers", c_int32),
        ("layer", POINTER(EsLayer)),
    )


MODEL = POINTER(EsModel)
SIZE = POINTER(c_size_t)
FUNCTIONS = {
    "es_load_size": (STATUS, c_void_p, c_size_t, SIZE),
    "es_load": (STATUS, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(MODEL)),
    "es_stepper_size": (STATUS, MODEL, c_int32, SIZE),
    "es_stepper_init": (STATUS, MODEL, c_int32, c_void_p, c_size_t, POINTER(c_void_p)),
    "es_stepper_x": (c_void_p, c_void_p),
    "es_stepper_y": (c_void_p, c_void_p),
    "es_stepper_engine": (c_void_p, c_void_p),
    "es_stepper_step": (STATUS, c_void_p, c_void_p),
    "es_reset": (STATUS, c_void_p),
    "es_state_size": (STATUS, c_void_p, SIZE),
    "es_save": (STATUS, c_void_p, c_void_p, c_size_t),
    "es_restore": (STATUS, c_void_p, c_void_p, c_size_t),
    "es_use_kernels": (STATUS, c_void_p, c_char_p),
    "es_kernels_name": (c_char_p, c_void_p),
    "es_status_text": (c_char_p, STATUS),
    "es_best_kernels": (c_char_p,),
    "es_build": (c_char_p,),
}
"""Result and arguments of each function of es_host.h and edgeseq.h that is called from here."""


@cache
def library() -> ctypes.CDLL:
    """The loaded engine; ConfigError when this installation has none, or one that does not load."""
    advice = "install gcc, then: pip install --force-reinstall --no-cache-dir edgeseq"
    if not LIBRARY.exists():
        raise ConfigError(
            "the native engine is not in this installation, which was made without a C compiler; "
            + advice
        )
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ConfigError(f"the native engine does not load ({error}); {advice}") from None
    return loaded


@cache
def fast_step() -> Callable[[int, object], int] | None:
    """`step(stepper, x)` of the library as a Python module; None where it was built without one.

    It reads `x` where it lies: 0 when the step was made, 1 when `x` is not an array as the stepper
    takes it, a negative status otherwise.
    """
    library()
    try:
        module = import_module("edgeseq._engine")
    except ImportError:
        return None
    step: Callable[[int, object], int] = module.step
    return step


def kernels() -> str:
    """Name of the fastest kernels that this build has and this processor runs."""
    return _text(library().es_best_kernels())


def build_digest() -> str:
    """SHA-256 of the C sources that the engine was compiled from."""
    return _text(library().es_build())


def status_text(status: int) -> str:
    """What a status of the engine means."""
    return _text(library().es_status_text(status))


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
