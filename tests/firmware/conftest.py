"""Exported models of every family, and input that moves through all of their number ranges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq_export.firmware import export_firmware
from edgeseq_export.integer import IntegerProgram, calibration_input
from tests.export.integer_models import checkpoint, float_model
from tests.firmware.engine import expected

FAMILIES = (
    "gru", "gru-odd", "gru-loud", "lstm", "transformer", "transformer-loud", "gru-bytes",
    "transformer-bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """A model in C, in numpy, and what numpy gives for `frames`."""

    folder: Path
    program: IntegerProgram
    frames: npt.NDArray[np.int16]
    wanted: bytes

    @property
    def outputs(self) -> int:
        """Logits of a step."""
        return self.program.output_dim


def recording(name: str, program: IntegerProgram, steps: int) -> npt.NDArray[np.int16]:
    """The bundled clip (or passage) in a loop, each round at another level, clipping included."""
    x = calibration_input(float_model(name))[0].numpy()
    if program.bytes_input:
        return np.resize(program.quantize_input(x), (steps, 1))
    rounds = -(-steps // len(x))
    gains = np.array([1.0, 0.05, 40.0, 0.3])[np.arange(rounds) % 4]
    loud = np.concatenate([x * gain for gain in gains])[:steps]
    return program.quantize_input(loud.astype(np.float32))


def extremes(program: IntegerProgram) -> npt.NDArray[np.int16]:
    """Frames of -32768, of full-scale square waves, of zeros, of single steps, of noise."""
    dim, rng = program.input_dim, np.random.default_rng(1)
    if program.bytes_input:
        return np.array([0, 255, 0, 255, 128, 127, *range(0, 256, 17)], np.int16).reshape(-1, 1)
    rows = [np.full(dim, -32768), np.full(dim, 32767), np.zeros(dim), np.full(dim, 1)]
    for period in (2, 16, 40, 64):
        rows += [np.where(np.arange(dim) // (period // 2) % 2, 32767, -32768)] * 3
    rows += [np.eye(1, dim)[0] * -1, *rng.integers(-32768, 32768, (4, dim)), *[np.zeros(dim)] * 3]
    return np.array(rows).astype(np.int16)


@pytest.fixture(scope="session", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One model of each family; the loud ones have weights that saturate everything."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    result = export_firmware(checkpoint(name), folder)
    edge = extremes(result.program)
    frames = np.concatenate([edge, recording(name, result.program, 120), edge])
    return Exported(folder, result.program, frames, expected(result.program, frames))
