"""Resident memory, state bytes and step times of bundled models over many steps.

python benchmarks/soak.py [--steps 1000000] [MODEL ...]
"""

from __future__ import annotations

import argparse

import numpy as np

from edgeseq import Stream
from edgeseq.assets import bundled, resolve
from edgeseq.profile.latency import StepClock
from edgeseq.profile.memory import current_rss

WARM_UP = 20_000
BLOCK = 1000


def soak(name: str, steps: int) -> None:
    """Push noise, speech-like bursts and silence; print the growth after warm-up."""
    stream = Stream(resolve(name))
    timing = stream.session.manifest.timing
    text = stream.session.manifest.input == "bytes"
    rng = np.random.default_rng(0)
    tenth = max(BLOCK, steps // 10 // BLOCK * BLOCK)
    state_bytes = stream.session.manifest.state_spec.nbytes(1)
    first, events, p99s = 0, 0, []
    for done in range(0, steps + WARM_UP, BLOCK):
        if done == WARM_UP:
            first = current_rss()
        if done >= WARM_UP and (done - WARM_UP) % tenth == 0:
            p99s += [stream.clock.p99_ms] if done > WARM_UP else []
            stream.clock = StepClock()
        if text:
            block = rng.integers(32, 127, BLOCK).astype(np.uint8)
        else:
            level = rng.choice([0.0, 0.003, 0.1, 0.5])
            block = (level * rng.standard_normal(BLOCK * timing.step_samples)).astype(np.float32)
        events += len(stream.push(block))
    p99s.append(stream.clock.p99_ms)
    tensors = stream.state["tensors"]
    assert sum(array.nbytes for array in tensors.values()) == state_bytes
    print(
        f"{name}: {steps:,} steps, {events} events, state {state_bytes:,} bytes, "
        f"RSS {first / 2**20:.1f} MiB, grown by {(current_rss() - first) / 1024:.0f} KiB, "
        f"p99 of each tenth {' '.join(f'{p99:.3f}' for p99 in p99s)} ms"
    )


def main() -> None:
    """Soak each model in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("model", nargs="*")
    options = parser.parse_args()
    for name in options.model or sorted(bundled()):
        soak(name, options.steps)


if __name__ == "__main__":
    main()
