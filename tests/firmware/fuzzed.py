"""The C engine as a target of libFuzzer, and sections of .esq files small enough for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from edgeseq.models import (
    ByteEmbeddingConfig,
    GruConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq_export.integer import build_program
from edgeseq_export.section import write_section
from tests.firmware.engine import INCLUDES, ROOT, SOURCES, STRICT, tool

__all__ = ["build_fuzzer", "small_sections"]

HOST = [ROOT / "host" / name for name in ("load.c", "stepper.c")]
# -fwrapv as in the library: a damaged weight may overflow, it may not reach beyond its memory.
FLAGS = (
    *STRICT, "-O2", "-g", "-fwrapv", "-fno-sanitize-recover=all",
    "-fsanitize=fuzzer,address,undefined", "-DES_LIBFUZZER", *INCLUDES, f"-I{ROOT / 'host'}",
)  # fmt: skip

FRONTEND = LogMelConfig(sample_rate=1000, window=64, hop=16, mels=4, low_hz=20, high_hz=480)
CONFIGS = (
    ModelConfig(FRONTEND, GruConfig(4, hidden=3, layers=1), 3),
    ModelConfig(FRONTEND, LstmConfig(4, hidden=3, layers=1), 3),
    ModelConfig(
        FRONTEND,
        TransformerConfig(4, dim=8, layers=1, heads=2, window=3, feed_forward=8, conv=2),
        3,
    ),
    ModelConfig(ByteEmbeddingConfig(2), GruConfig(2, hidden=2, layers=1), 3),
)


def build_fuzzer(out: Path) -> Path:
    """Compile firmware_sim/tests/load.c for libFuzzer with clang."""
    parts = [*SOURCES, *HOST, ROOT / "tests" / "load.c"]
    command = [tool("clang"), *FLAGS, *map(str, parts), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return out


def small_sections() -> list[bytes]:
    """A section of each family, of about a kilobyte: more of them can be tried in a second."""
    torch.manual_seed(5)
    made = []
    for config in CONFIGS:
        model = config.build().eval()
        if isinstance(config.frontend, ByteEmbeddingConfig):
            x = torch.randint(0, 256, (1, 200, 1))
        else:
            x = 0.1 * torch.randn(1, 200, model.input_dim)
        made.append(write_section(build_program(model, x)))
    return made
