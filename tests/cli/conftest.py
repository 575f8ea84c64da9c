"""Small real models and a recording in which they hear known words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests import graphs
from tests.sources.wavbytes import wav

SECONDS = 5.8


@dataclass(frozen=True)
class Kit:
    """Files for one test session: three audio models, a byte model, a recording and a text."""

    folder: Path
    tones: Path
    level: Path
    words: Path
    bytes: Path
    wav: Path
    labels: Path
    text: Path


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """In the recording: low at 1.0 to 1.4 s, high at 2.6 to 3.0 s, low at 4.4 to 4.8 s."""
    folder = tmp_path_factory.mktemp("kit")
    low, high = graphs.tone(graphs.LOW_HZ, 0.4), graphs.tone(graphs.HIGH_HZ, 0.4)
    pause = graphs.silence(1.2)
    parts = [graphs.silence(1), low, pause, high, graphs.silence(1.4), low, graphs.silence(1)]
    samples = np.concatenate(parts)
    assert len(samples) == round(SECONDS * graphs.RATE)
    recording, labels, text = folder / "tones.wav", folder / "tones.tsv", folder / "text.txt"
    recording.write_bytes(wav((samples * 32767).astype("<i2").tobytes()))
    labels.write_text("# a comment\n1.0\t1.4\tlow\n2.6\t3.0\thigh\n\n4.4\t4.8\tlow\n")
    text.write_text("Grüße, \x1b[31mworld!\n", encoding="utf-8")
    return Kit(
        folder,
        graphs.tone_model(folder / "tones.onnx"),
        graphs.level_model(folder / "level.onnx"),
        graphs.gru_model(folder / "words.onnx"),
        graphs.byte_model(folder / "bytes.onnx"),
        recording,
        labels,
        text,
    )
