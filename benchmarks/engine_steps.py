"""Step time of the C engine on this machine, for each kernel set that the processor runs.

    python -m benchmarks.engine_steps [NAME ...]

The networks are those of the comparison with other frameworks (a byte table instead of given
features, which costs a copy), and the log-mel frontend alone with a small GRU. Called from C, one
thread; weights are random, which does not change the time. Needs a C compiler (CC, or cc).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
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
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.firmware import export_firmware

ENGINE = Path(__file__).parents[1] / "firmware_sim"
NETWORKS = {
    "gru-2x128": ModelConfig(ByteEmbeddingConfig(40), GruConfig(40, 128, 2), 12),
    "gru-2x256": ModelConfig(ByteEmbeddingConfig(80), GruConfig(80, 256, 2), 12),
    "lstm-2x256": ModelConfig(ByteEmbeddingConfig(80), LstmConfig(80, 256, 2), 12),
    "transformer-4x144": ModelConfig(
        ByteEmbeddingConfig(80),
        TransformerConfig(80, dim=144, layers=4, heads=4, window=64, feed_forward=576),
        12,
    ),
    "logmel-40-gru-8": ModelConfig(LogMelConfig(), GruConfig(40, 8, 1), 3),
}


def measure(name: str, folder: Path) -> str:
    """Lines of kernels, p50 and p99 in nanoseconds."""
    torch.manual_seed(0)
    config = NETWORKS[name]
    export_firmware(Checkpoint(config.build().eval(), config, {"name": name, "labels": []}), folder)
    program = folder / "time"
    sources = [*(ENGINE / "src").glob("*.c"), ENGINE / "tests" / "time.c", folder / "model_data.c"]
    includes = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}", f"-I{folder}"]
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-std=c99", "-O3", *includes, *map(str, sources), "-o", program], check=True
    )
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Measure the named networks, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    names = parser.parse_args().names or list(NETWORKS)
    for name in names:
        if name not in NETWORKS:
            parser.error(f"{name!r} is unknown; known: {', '.join(NETWORKS)}")
        with tempfile.TemporaryDirectory() as folder:
            for line in measure(name, Path(folder)).splitlines():
                kernels, p50, p99 = line.split()
                print(f"{name:18} {kernels:8} p50 {int(p50) / 1000:8.2f} us  p99 "
                      f"{int(p99) / 1000:8.2f} us", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
