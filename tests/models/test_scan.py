"""The parallel scan gives what one step after the other gives, values and gradients."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from edgeseq.models import scan
from edgeseq.models.scan import linear_scan


def stepped(decay: Tensor, enter: Tensor, state: Tensor) -> Tensor:
    states = []
    for t in range(decay.shape[1]):
        state = decay[:, t] * state + enter[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


def draw(batch: int, frames: int, dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(frames)
    return (
        torch.rand(batch, frames, dim, dtype=dtype).requires_grad_(),
        torch.randn(batch, frames, dim, dtype=dtype).requires_grad_(),
        torch.randn(batch, dim, dtype=dtype).requires_grad_(),
    )


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3), frames=st.integers(1, 130), dim=st.integers(1, 5), wide=st.booleans()
)
def test_scan_equals_steps(batch: int, frames: int, dim: int, wide: bool) -> None:
    """`wide` forces the blocks down to one, as a large batch does."""
    with pytest.MonkeyPatch.context() as patch:
        if wide:
            patch.setattr(scan, "SIDE_BY_SIDE", 1)
        inputs = draw(batch, frames, dim, torch.float64)
        got, wanted = linear_scan(*inputs), stepped(*inputs)
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        weight = torch.randn_like(got)
        ours = torch.autograd.grad((got * weight).sum(), inputs)
        theirs = torch.autograd.grad((wanted * weight).sum(), inputs)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_views_and_no_gradient_for_what_needs_none() -> None:
    decay, enter, start = draw(2, 50, 8, torch.float64)
    with torch.no_grad():
        every_second = linear_scan(decay[:, ::2], enter[:, ::2], start)
        torch.testing.assert_close(every_second, stepped(decay[:, ::2], enter[:, ::2], start))
    fixed = decay.detach()
    (gradient,) = torch.autograd.grad(linear_scan(fixed, enter, start).sum(), enter)
    assert gradient.shape == enter.shape


def test_products_that_underflow_do_no_harm_in_float32() -> None:
    """A form that divides by the product of decays, or takes its logarithm, gives NaN here."""
    decay, enter, start = (x.detach() for x in draw(2, 1600, 4, torch.float32))
    decay[:, ::3] = 0.0
    decay[:, 1::3] = 1e-30
    decay[0, 800:] = 1.0  # sums without end: the greatest error
    decay.requires_grad_()
    got = linear_scan(decay, enter, start)
    wanted = stepped(decay.double(), enter.double(), start.double())
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-4)
    (gradient,) = torch.autograd.grad(got.sum(), decay)
    assert torch.isfinite(gradient).all()


class Calls(TorchDispatchMode):
    """How often each operation ran."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_long_clips_run_in_few_operations() -> None:
    """What makes it fast: about 4 sqrt(T) operations one after the other, not T."""
    inputs = draw(1, 6400, 4, torch.float32)
    with torch.no_grad(), Calls() as calls:
        linear_scan(*inputs)
    assert 0 < calls.count["addcmul"] + calls.count["mul_"] <= 5 * 80
