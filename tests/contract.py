"""The one contract test: what every streaming model promises, whatever runs it.

A backend is anything with `step(x, state) -> (y, state)` on numpy arrays; the same function checks
the torch model, the exported float and int8 files, and any later engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeseq.spec import State, StateSpec, Timing

Array = npt.NDArray[Any]
Step = Callable[[Array, State], tuple[Array, State]]

POISON = 1e6
"""Large and finite: NaN would fail behind a correct mask, since 0 * NaN is NaN."""


@dataclass(frozen=True)
class Backend:
    """Something that can step, and what it can take.

    Attributes:
        step: one pure call on `x` `[batch, T, D]`.
        max_frames: largest T of one call, None for any; exported files take just their chunk.
        batch: largest batch.
        receptive_field: past frames that can change an output; None without bound.
    """

    step: Step
    max_frames: int | None
    batch: int
    receptive_field: int | None


def _run(backend: Backend, x: Array, state: State, cuts: list[int]) -> tuple[Array, State]:
    outputs, at = [], 0
    for size in cuts:
        y, state = backend.step(x[:, at : at + size], state)
        outputs.append(y)
        at += size
    return np.concatenate(outputs, axis=1), state


def _cuts(backend: Backend, frames: int, chunk: int, draw: Callable[[int, int], int]) -> list[int]:
    cuts: list[int] = []
    while sum(cuts) < frames:
        most = min(frames - sum(cuts), backend.max_frames or frames)
        cuts.append(draw(1, most // chunk) * chunk)
    return cuts


def _close(a: Array, b: Array, tolerance: float, what: str) -> None:
    worst = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))
    assert worst <= tolerance, f"{what}: differs by {worst:.3g}, allowed {tolerance:.3g}"


def verify_stream_contract(
    backend: Backend,
    spec: StateSpec,
    timing: Timing,
    make_input: Callable[[int, int, int], Array],
    *,
    tolerance: float,
    frames: int = 160,
    long_steps: int = 2000,
) -> None:
    """Check the contract.

    Args:
        backend: what to check.
        spec: the state it declares.
        timing: the timing it declares.
        make_input: `(batch, frames, seed)` to an input `[batch, frames, D]`.
        tolerance: largest absolute difference allowed where the arithmetic may be reordered.
        frames: length of the test stream; more than twice the left context.
        long_steps: steps of the drift check.
    """
    chunk = timing.chunk
    batch = backend.batch
    x = make_input(batch, frames, 0)
    whole = [min(frames, backend.max_frames or frames)] * (frames // (backend.max_frames or frames))
    y, last = _run(backend, x, spec.zeros(batch), whole)
    assert y.shape[:2] == (batch, frames // timing.subsampling)

    _cut_invariance(backend, spec, x, y, last, chunk, tolerance)
    _closed_state(backend, spec, x, chunk)
    _poison(backend, spec, x, y, tolerance)
    _causality(backend, spec, timing, x, y, make_input, tolerance)
    _rows(backend, spec, x, y, chunk, tolerance)
    again, _ = _run(backend, x, spec.zeros(batch), whole)
    assert np.array_equal(again, y), "7 a stream started anew must equal a fresh one bit for bit"
    _long_run(backend, spec, timing, make_input, long_steps)


def _cut_invariance(
    backend: Backend, spec: StateSpec, x: Array, y: Array, last: State, chunk: int, tolerance: float
) -> None:
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        cuts = _cuts(backend, x.shape[1], chunk, lambda a, b: data.draw(st.integers(a, b)))
        got, state = _run(backend, x, spec.zeros(len(x)), cuts)
        _close(got, y, tolerance, f"1 cut into {cuts}")
        for name in spec.names:
            _close(state[name], last[name], tolerance, f"1 state {name} after cut into {cuts}")

    check()


def _closed_state(backend: Backend, spec: StateSpec, x: Array, chunk: int) -> None:
    state = spec.zeros(len(x))
    before = {name: value.copy() for name, value in state.items()}
    _, after = backend.step(x[:, :chunk], state)
    spec.check(after, len(x))
    assert tuple(after) == spec.names, "2 state order"
    for name, value in before.items():
        assert np.array_equal(state[name], value), f"2 step changed its input state {name}"


def _poison(backend: Backend, spec: StateSpec, x: Array, y: Array, tolerance: float) -> None:
    """A slot that `filled` calls empty may hold anything."""
    if not any(name.endswith("filled") for name in spec.names):
        return
    state = spec.zeros(len(x))
    for name in spec.names:
        if name.endswith((".k", ".v", ".kv")):
            whole = state[name].dtype.kind == "i"
            poison = np.iinfo(state[name].dtype).min if whole else POISON
            state[name] = np.full_like(state[name], poison)
    size = backend.max_frames or x.shape[1]
    got, _ = _run(backend, x, state, [size] * (x.shape[1] // size))
    _close(got, y, tolerance, "3 poison in unread slots")


def _causality(
    backend: Backend,
    spec: StateSpec,
    timing: Timing,
    x: Array,
    y: Array,
    make_input: Callable[[int, int, int], Array],
    tolerance: float,
) -> None:
    frames = x.shape[1]
    size = backend.max_frames or frames
    other = make_input(len(x), frames, 1)
    cut = frames // 2 // timing.chunk * timing.chunk
    future = np.concatenate([x[:, :cut], other[:, cut:]], axis=1)
    got, _ = _run(backend, future, spec.zeros(len(x)), [size] * (frames // size))
    sure = (cut - timing.lookahead) // timing.subsampling
    _close(got[:, :sure], y[:, :sure], tolerance, "4 the future changed the past")
    assert not np.allclose(got[:, sure:], y[:, sure:]), "4 the input has no effect at all"
    if backend.receptive_field is not None and backend.receptive_field < frames // 2:
        old = frames - backend.receptive_field - 1
        past = np.concatenate([other[:, :old], x[:, old:]], axis=1)
        got, _ = _run(backend, past, spec.zeros(len(x)), [size] * (frames // size))
        _close(
            got[:, -1:],
            y[:, -1:],
            tolerance,
            "5 input older than the receptive field had an effect",
        )


def _rows(
    backend: Backend, spec: StateSpec, x: Array, y: Array, chunk: int, tolerance: float
) -> None:
    size = backend.max_frames or x.shape[1]
    for row in range(len(x) if len(x) > 1 else 0):
        alone, _ = _run(backend, x[row : row + 1], spec.zeros(1), [size] * (x.shape[1] // size))
        _close(alone[0], y[row], tolerance, f"6 row {row} depends on its neighbours")


def _long_run(
    backend: Backend,
    spec: StateSpec,
    timing: Timing,
    make_input: Callable[[int, int, int], Array],
    steps: int,
) -> None:
    """8: constant bytes, finite values, and the old past forgotten where the field is bounded."""
    period = 100 * timing.chunk
    x = make_input(1, period, 2)
    state, bound = spec.zeros(1), 0.0
    for at in range(0, steps * timing.chunk, timing.chunk):
        start = at % period
        y, state = backend.step(x[:, start : start + timing.chunk], state)
        bound = max(bound, float(np.abs(y).max()))
        assert sum(v.nbytes for v in state.values()) == spec.nbytes(1), "8 state bytes changed"
    assert np.isfinite(bound), "8 output is not finite"
    for name, value in state.items():
        assert np.isfinite(value.astype(np.float64)).all(), f"8 state {name} is not finite"
        if name.endswith("filled"):
            assert timing.left_context is not None
            assert int(value.max()) <= timing.left_context, "8 counter grows beyond the window"
