"""Puts manifest and integer program into one file for the native engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseq.errors import ExportError
from edgeseq.files import write_whole
from edgeseq.manifest import Manifest, Quantization
from edgeseq.runtime.esq_file import pack
from edgeseq.training.checkpoint import Checkpoint

from .integer import IntegerProgram, build_program, calibration_input
from .integer.dense import HeadLayer
from .integer.rnn import GruLayer, LstmLayer
from .integer.transformer import TransformerLayer
from .package import golden_input, make_golden, make_manifest
from .section import write_section

__all__ = ["export_native", "native_manifest", "write_native"]


def export_native(
    checkpoint: Checkpoint, path: Path, chunk: int = 1, calibration: Sequence[Path] = ()
) -> Manifest:
    """Write the .esq file of a checkpoint.

    Args:
        checkpoint: what to export.
        path: the file to write.
        chunk: frames that one step takes.
        calibration: recordings (or texts) to choose scales on; the bundled clip without any.

    Raises:
        ExportError: a layer has no integer definition, or a size is beyond what it allows.
    """
    model = checkpoint.model
    program = build_program(model, calibration_input(model, calibration))
    return write_native(checkpoint, program, path, chunk)


def write_native(
    checkpoint: Checkpoint, program: IntegerProgram, path: Path, chunk: int = 1
) -> Manifest:
    """Write the .esq file of a program that was built from `checkpoint`; it appears when complete.

    The golden in it is exact: its output is what the program computes, bit for bit.
    """
    if path.suffix != ".esq":
        raise ExportError(f"{path}: the file to write must end in .esq")
    section = write_section(program)
    manifest = native_manifest(checkpoint, program, len(section), chunk)
    write_whole(path, pack(manifest.to_json(), section))
    return manifest


def native_manifest(
    checkpoint: Checkpoint, program: IntegerProgram, weight_bytes: int, chunk: int = 1
) -> Manifest:
    """What an integer program says about itself, `chunk` frames a step; its golden is exact."""
    products = sum(_products(layer) for _, layer in program.layers)
    x = golden_input(program.bytes_input, program.input_dim, chunk)
    frames = np.concatenate(list(x), axis=1)
    golden = make_golden(frames, run_program(program, frames), 0.0)
    quantization = Quantization("int8", products, 0, weight_bytes)
    return make_manifest(checkpoint, chunk, program.state_spec, quantization, golden)


def run_program(program: IntegerProgram, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Logits `[1, T, V]` of input `[1, T, D]` as a Session takes it, from a fresh state."""
    y, _ = program.step(program.quantize_input(x), program.state_spec.zeros(1))
    return program.logits(y)


def _products(layer: object) -> int:
    """Matrix products with trained weights in a layer."""
    if isinstance(layer, TransformerLayer):
        return 1 + 4 * len(layer.blocks)
    return {HeadLayer: 1, GruLayer: 2, LstmLayer: 2}.get(type(layer), 0)
