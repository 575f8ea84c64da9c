"""What a Stepper and a Stream cost on top of bare onnxruntime IO binding, on the same graph.

    python -m benchmarks.session_overhead [--rounds 15] [--steps 2000]

Rounds of all rows are interleaved in one process on one core, so that a busy machine hurts all
alike; each figure is the median over rounds of the round's p50 or p99. The graphs are GRU 2x128 on
10 ms of samples, in float and with int8 weights.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgeseq import Session, Stream
from tests.graphs import gru_model

Step = Callable[[Any], object]


def bare(session: Session) -> Step:
    """Two bindings that take turns, written out by hand, without any check."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = ort.InferenceSession(session.path, options, providers=["CPUExecutionProvider"])
    m = session.manifest
    x, y = m.inputs[0].zeros(), m.outputs[0].zeros()
    sets = session.initial_state(), session.initial_state()
    bindings = []
    for before, after in (sets, sets[::-1]):
        binding = run.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu", 0, y.dtype, y.shape, y.ctypes.data)
        for name, array in before.items():
            binding.bind_cpu_input(f"state.{name}", array)
            out = after[name]
            where = out.dtype, out.shape, out.ctypes.data
            binding.bind_output(f"next_state.{name}", "cpu", 0, *where)
        bindings.append(binding)

    def step(value: Any) -> object:
        x[...] = value
        run.run_with_iobinding(bindings[0])
        bindings.reverse()
        return y

    return step


def pure(session: Session) -> Step:
    """Session.step, which makes new arrays."""
    held = [session.initial_state()]

    def step(value: Any) -> object:
        y, held[0] = session.step(value, held[0])
        return y

    return step


def pushing(session: Session) -> Step:
    """A whole Stream: front end, step, clock, decoder."""
    stream = Stream(session, decoding={"thresholds": {}})
    return lambda value: stream.push(value.reshape(-1))


ROWS: dict[str, Callable[[Session], Step]] = {
    "bare IO binding": bare,
    "Stepper.step": lambda session: session.stepper().step,
    "Stream.push": pushing,
    "Session.step (pure)": pure,
}


def quantized(path: Path) -> Path:
    """The same graph with int8 weights."""
    target = path.with_name(path.stem + "_int8.onnx")
    quantize_dynamic(path, target, weight_type=QuantType.QInt8)
    model = onnx.load(target)
    stored = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, stored)
    onnx.save(model, target)
    return target


def measure(session: Session, rounds: int, steps: int) -> dict[str, tuple[float, float]]:
    """p50 and p99 in microseconds of every row."""
    shape = session.manifest.inputs[0].bound(1)
    xs = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i in range(64)]
    calls = {name: make(session) for name, make in ROWS.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ROWS}
    for turn in range(rounds + 1):
        for name, step in calls.items():
            taken = np.empty(steps)
            for i in range(steps):
                x = xs[i & 63]
                start = perf_counter_ns()
                step(x)
                taken[i] = perf_counter_ns() - start
            if turn:  # the first round warms up
                times[name].append(tuple(np.quantile(taken, (0.5, 0.99)) / 1e3))
    return {
        name: (median(p50 for p50, _ in rows), median(p99 for _, p99 in rows))
        for name, rows in times.items()
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="overhead of edgeseq over bare IO binding")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = gru_model(Path(folder) / "gru_2x128.onnx", hidden=128)
        for file in (path, quantized(path)):
            rows = measure(Session(file), options.rounds, options.steps)
            base = rows["bare IO binding"][0]
            lines = [f"{file.stem}, {file.stat().st_size / 1000:.0f} kB"]
            lines += [
                f"  {name:20} p50 {p50:6.1f} us  p99 {p99:6.1f} us  {p50 / base:.3f} x bare"
                for name, (p50, p99) in rows.items()
            ]
            sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
