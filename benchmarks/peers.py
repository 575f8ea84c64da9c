"""Step time through Python: our native engine beside LiteRT and onnxruntime, all in int8.

    pip install ai-edge-litert flatbuffers
    python -m benchmarks.peers [CASE ...] [--rounds 5] [--steps 3000]

Every row runs the same network with the same weights in fresh processes pinned to one core, one
thread; the rows take turns over the rounds. A figure is the median over rounds of the round's
median; `x` is how many times longer than ours. The greatest difference from the float network in
numpy shows that all compute the same. Only ratios within one run mean anything on a machine that
does other work. Ours looks its input up by a byte and has a head of twelve outputs on top.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from edgeseq.profile.machine import this_machine
from edgeseq.profile.memory import peak_rss

from .peer_nets import CASES, OUTPUTS, Reference, frames, native_backend, onnx_model, write_program

Step = Callable[[int], Any]

SETTLE = 100
"""Steps before outputs are compared: peers attend to zeros until their caches are full."""

COMPARED = 60
WARM_UP = 300


def prepare(case: str, folder: Path) -> None:
    """Write every row's file and the reference's outputs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from .litert_net import build

    write_program(case, folder / f"{case}.section")
    (folder / f"{case}.tflite").write_bytes(build(case))
    source = folder / f"{case}-float.onnx"
    onnx.save(onnx_model(case), source)
    quantize_dynamic(source, folder / f"{case}.onnx", weight_type=QuantType.QInt8)
    reference, xs = Reference(case), frames(case)
    outputs = [reference.step(xs[i % len(xs)])[:OUTPUTS] for i in range(SETTLE + COMPARED)]
    np.save(folder / f"{case}.npy", np.stack(outputs[SETTLE:]))


def native(case: str, folder: Path) -> Step:
    """Our engine, as a Stream calls it."""
    step = native_backend(case, folder / f"{case}.section").stepper().step
    xs = np.arange(256).reshape(-1, 1, 1, 1)
    return lambda i: step(xs[i & 255])


def litert(case: str, folder: Path) -> Step:
    """LiteRT with XNNPACK; caches of the Transformer lie in its own tensors, as rings."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(folder / f"{case}.tflite"), num_threads=1)
    model.allocate_tensors()
    xs = frames(case)[:, 0]
    x, *ins = [d["index"] for d in model.get_input_details()]
    outs = [d["index"] for d in model.get_output_details()]
    if CASES[case]["kind"] != "transformer":
        state = [np.zeros(d["shape"], np.float32) for d in model.get_input_details()[1:]]
        y = -2 if CASES[case]["kind"] == "lstm" else -1

        def step(i: int) -> Any:
            model.set_tensor(x, xs[i & 255])
            for index, value in zip(ins, state, strict=True):
                model.set_tensor(index, value)
            model.invoke()
            state[:] = [model.get_tensor(index) for index in outs]
            return state[y]

        return step
    rings, rows = [model.tensor(i) for i in ins], [model.tensor(i) for i in outs[:-1]]
    for ring in rings:
        ring()[...] = 0
    past = CASES[case]["window"] - 1

    def ring_step(i: int) -> Any:
        model.set_tensor(x, xs[i & 255])
        model.invoke()
        at = i % past
        for ring, row in zip(rings, rows, strict=True):
            ring()[:, :, at] = row()[:, :, 0]
        return model.get_tensor(outs[-1])

    return ring_step


def onnxruntime(case: str, folder: Path) -> Step:
    """onnxruntime with everything bound once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(
        str(folder / f"{case}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    xs, arrays = frames(case), {}
    for value in (*session.get_inputs(), *session.get_outputs()):
        arrays[value.name] = np.zeros(value.shape, np.float32)
    states = [v.name for v in session.get_inputs() if v.name != "x"]
    ring = CASES[case]["kind"] == "transformer"

    def bound(swap: bool) -> Any:
        binding = session.io_binding()
        for name in ("x", *states):
            binding.bind_cpu_input(name, arrays[f"{name}_out" if swap and name != "x" else name])
        for name in ("y", *(f"{state}_out" for state in states)):
            to = arrays[name.removesuffix("_out") if swap else name]
            binding.bind_output(name, "cpu", 0, np.float32, to.shape, to.ctypes.data)
        return binding

    bindings = [bound(False), bound(not ring)]
    past = CASES[case].get("window", 2) - 1
    pairs = [(arrays[name], arrays[f"{name}_out"]) for name in states] if ring else []

    def step(i: int) -> Any:
        arrays["x"][...] = xs[i & 255]
        session.run_with_iobinding(bindings[i & 1])
        for cache, row in pairs:
            cache[:, i % past] = row[:, 0]
        return arrays["y"]

    return step


ROWS: dict[str, Callable[[str, Path], Step]] = {
    "edgeseq native": native,
    "LiteRT int8": litert,
    "onnxruntime int8": onnxruntime,
}


def work(case: str, row: str, folder: Path, steps: int) -> dict[str, float]:
    """One row, measured in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted, taken = np.load(folder / f"{case}.npy"), np.empty(steps)
    step, clock = ROWS[row](case, folder), perf_counter_ns
    got = [np.array(step(i)).reshape(-1)[:OUTPUTS] for i in range(SETTLE + COMPARED)][SETTLE:]
    begin = SETTLE + COMPARED
    for i in range(begin, begin + WARM_UP):
        step(i)
    begin += WARM_UP
    for i in range(steps):
        start = clock()
        step(begin + i)
        taken[i] = clock() - start
    return {
        "p50_us": float(np.median(taken)) / 1000,
        "error": float(np.abs(np.stack(got) - wanted).max()),
        "rss_mib": peak_rss() / 2**20,
    }


def child(case: str, row: str, folder: Path, steps: int) -> dict[str, float]:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.peers", "--worker", case, row, str(folder)]
    done = subprocess.run(
        [*command, "--steps", str(steps)], capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{row}, {case}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print a table for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        case, row, where = options.worker
        print(json.dumps(work(case, row, Path(where), options.steps)))
        return
    cases = options.cases or list(CASES)
    for case in cases:
        if case not in CASES:
            parser.error(f"{case!r} is unknown; known: {', '.join(CASES)}")
    print(f"{this_machine().sentence()}; {options.rounds} rounds of {options.steps} steps")
    for case in cases:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(case, folder)
            found: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
            for _ in range(options.rounds):
                for row, rounds in found.items():
                    rounds.append(child(case, row, folder, options.steps))
        ours = median(r["p50_us"] for r in found["edgeseq native"])
        print(f"\n{case}")
        for row, rounds in found.items():
            p50 = median(r["p50_us"] for r in rounds)
            low, high = (f(r["p50_us"] for r in rounds) for f in (min, max))
            print(
                f"  {row:18} p50 {p50:7.2f} us (rounds {low:.2f} to {high:.2f})  "
                f"{p50 / ours:5.2f} x  off by {max(r['error'] for r in rounds):.3f}  "
                f"peak {median(r['rss_mib'] for r in rounds):.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
