"""Memory of onnxruntime per run and per session (field case F41): python -m benchmarks.leaks MODEL

Resident memory over 2,000 and 20,000 runs with fresh random input, pure and through a stepper, and
over 200 sessions that are made and dropped, after a warm-up of each.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgeseq import Session
from edgeseq.assets import resolve
from edgeseq.profile.machine import this_machine
from edgeseq.profile.memory import current_rss


def growth(work: Callable[[], object], times: int, warm_up: int) -> int:
    """KiB by which this process has grown over `times` calls after `warm_up`."""
    for _ in range(warm_up):
        work()
    gc.collect()
    before = current_rss()
    for _ in range(times):
        work()
    gc.collect()
    return (current_rss() - before) // 1024


def measure(name: str) -> str:
    """The growth of one model, in words."""
    path = resolve(name)
    session = Session(path)
    stepper, draw = session.stepper(), np.random.default_rng(0)
    spec, state = session.manifest.inputs[0], [session.initial_state()]

    def fresh() -> npt.NDArray[np.generic]:
        if spec.dtype == "int64":
            return draw.integers(0, 256, spec.bound(1))
        return draw.normal(size=spec.bound(1)).astype(np.float32)

    def pure() -> None:
        _, state[0] = session.step(fresh(), state[0])

    return (
        f"{name}: 2,000 pure runs {growth(pure, 2000, 500)} KiB, "
        f"20,000 steps {growth(lambda: stepper.step(fresh()), 20_000, 500)} KiB, "
        f"200 sessions {growth(lambda: Session(path).stepper(), 200, 50)} KiB"
    )


def main() -> None:
    """Measure each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="*", default=["words-gru", "words-transformer"])
    print(this_machine().sentence())
    for name in parser.parse_args().model:
        print(measure(name), flush=True)


if __name__ == "__main__":
    main()
