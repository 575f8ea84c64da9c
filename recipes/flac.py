"""Writes the recordings that the synthesis scripts make."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 16000


def write(path: Path, samples: npt.NDArray[np.floating]) -> float:
    """Write a 16 kHz FLAC file, whole or not at all, below a folder made for it; its seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    soundfile.write(partial, samples, RATE, format="FLAC", subtype="PCM_16")
    partial.replace(path)
    return len(samples) / RATE
