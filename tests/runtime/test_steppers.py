"""What a Session and its Steppers promise, on every backend and family by the same tests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq.errors import StateError
from edgeseq.runtime import Session
from tests import graphs
from tests.runtime.native_files import native_file

NATIVE = ("gru-odd", "lstm", "transformer", "gru-bytes", "transformer-bytes")
KINDS = ("onnx", "onnx-bytes", *(f"native {name}" for name in NATIVE), "native gru-odd by 3")


@pytest.fixture(scope="module", params=KINDS)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder, kind = tmp_path_factory.mktemp("steppers"), request.param
    if kind == "onnx":
        return Session(graphs.gru_model(folder / "gru.onnx"))
    if kind == "onnx-bytes":
        return Session(graphs.byte_model(folder / "bytes.onnx", chunk=2))
    _, name, *by = kind.split()
    return Session(native_file(folder, name, int(by[1]) if by else 1))


def inputs(session: Session, steps: int, seed: int = 0) -> list[npt.NDArray[Any]]:
    draw, spec = np.random.default_rng(seed), session.manifest.inputs[0]
    shape = spec.bound(1)
    if spec.dtype == "int64":
        return [draw.integers(0, 256, shape) for _ in range(steps)]
    return [draw.normal(size=shape).astype(np.float32) for _ in range(steps)]


def equal(a: dict[str, npt.NDArray[Any]], b: dict[str, npt.NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_step_is_pure(session: Session) -> None:
    (x,) = inputs(session, 1)
    state = session.initial_state()
    before = {name: array.copy() for name, array in state.items()}
    x_before = x.copy()
    y, after = session.step(x, state)
    again, _ = session.step(x, state)
    assert np.array_equal(y, again)
    assert np.array_equal(x, x_before)
    assert equal(state, before)
    assert not any(np.shares_memory(after[name], state[name]) for name in state)
    assert tuple(after) == session.manifest.state_spec.names
    assert y.dtype == np.float32
    assert not np.shares_memory(y, again)


def test_the_stepper_equals_the_pure_step_bit_for_bit(session: Session) -> None:
    stepper, state = session.stepper(), session.initial_state()
    for x in inputs(session, 60):
        kept = x.copy()
        y, state = session.step(x, state)
        assert np.array_equal(stepper.step(x), y)
        assert np.array_equal(x, kept)
        assert equal(stepper.state(), state)
    for name, value in state.items():
        if name.endswith("filled"):
            assert value == session.manifest.timing.left_context or value == 50


def test_reset_equals_fresh_and_restore_goes_on_exactly(session: Session) -> None:
    """F28, at every one of the first steps, so from either set of buffers."""
    xs = inputs(session, 8)
    solo = session.stepper()
    expected = [solo.step(x).copy() for x in xs]
    for at in range(len(xs)):
        first, second = session.stepper(), session.stepper()
        for x in xs[:at]:
            first.step(x)
        saved = first.state()
        second.step(xs[0])
        second.restore(saved)
        assert all(
            np.array_equal(second.step(x), y) for x, y in zip(xs[at:], expected[at:], strict=True)
        )
        first.reset()
        assert equal(first.state(), session.initial_state())
        assert all(np.array_equal(first.step(x), y) for x, y in zip(xs, expected, strict=True))


def test_interleaved_steppers_equal_solo_runs(session: Session) -> None:
    """F24."""
    streams = [inputs(session, 30, seed) for seed in range(3)]
    solo = []
    for xs in streams:
        stepper = session.stepper()
        solo.append([stepper.step(x).copy() for x in xs])
    steppers = [session.stepper() for _ in streams]
    for i in range(30):
        for k, stepper in enumerate(steppers):
            assert np.array_equal(stepper.step(streams[k][i]), solo[k][i])


def test_steppers_in_threads_equal_solo_runs(session: Session) -> None:
    """F24."""

    def run(seed: int) -> npt.NDArray[np.float32]:
        stepper = session.stepper()
        return np.concatenate([stepper.step(x).copy() for x in inputs(session, 200, seed)])

    def pure(seed: int) -> npt.NDArray[np.float32]:
        state, ys = session.initial_state(), []
        for x in inputs(session, 200, seed):
            y, state = session.step(x, state)
            ys.append(y)
        return np.concatenate(ys)

    expected = [run(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        for way in (run, pure):
            assert all(
                np.array_equal(a, b) for a, b in zip(pool.map(way, range(6)), expected, strict=True)
            )


def test_a_wrong_input_is_an_error_and_leaves_the_state(session: Session) -> None:
    """F26: nothing is broadcast or converted in silence."""
    spec = session.manifest.inputs[0]
    _, frames, width = spec.bound(1)
    stepper = session.stepper()
    stepper.step(inputs(session, 1)[0])
    before = stepper.state()
    for wrong in (
        np.zeros((1, frames, width + 1), spec.dtype),
        np.zeros((1, frames + 1, width), spec.dtype),
        np.zeros((2, frames, width), spec.dtype),
        np.zeros(frames * width, spec.dtype),
        np.zeros((1, frames, width)),
        np.zeros((1, frames, width), np.int16),
    ):
        with pytest.raises(StateError, match=rf"tensor 'x' is .*, expected {spec.dtype}\[1, "):
            stepper.step(wrong)
        with pytest.raises(StateError, match="tensor 'x'"):
            session.step(wrong, session.initial_state())
    assert equal(stepper.state(), before)


def test_a_wrong_state_is_an_error(session: Session) -> None:
    (x,) = inputs(session, 1)
    good = session.initial_state()
    name = next(iter(good))
    first = good[name]
    for wrong in (
        {},
        {**good, "more": first},
        {**good, name: np.concatenate([first, first])},
        {**good, name: first.astype(np.float64)},
    ):
        with pytest.raises(StateError):
            session.step(x, wrong)
        with pytest.raises(StateError):
            session.stepper().restore(wrong)


def test_an_input_that_is_not_contiguous_is_read_rightly(session: Session) -> None:
    (x,) = inputs(session, 1)
    wide = np.zeros((*x.shape[:2], 2 * x.shape[2]), x.dtype)
    wide[..., ::2] = x
    a, b = session.stepper(), session.stepper()
    assert np.array_equal(a.step(wide[..., ::2]), b.step(x))
