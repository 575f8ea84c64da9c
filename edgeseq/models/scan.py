"""A diagonal linear recurrence over whole clips, by blocks that run side by side.

`h[t] = decay[t] * h[t-1] + enter[t]`, element by element. Two such steps make one of the same form,
so the recurrence is an associative scan (Blelloch 1990; Martin and Cundy 2018): a clip is cut into
blocks, every block first finds what it makes of any state, the states between blocks follow, and
then all blocks run at once. Nothing is divided and no logarithm is taken, so a product of decays
that falls to 0 in float32 is no trouble; inside a block the sums are those of the stepped
recurrence, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["linear_scan"]

SIDE_BY_SIDE = 32_768
"""Numbers that one operation covers at least, where the clip is long enough, and at most, where the
batch allows: with fewer its fixed cost counts, with more PyTorch waits for a second thread."""


def linear_scan(decay: Tensor, enter: Tensor, start: Tensor) -> Tensor:
    """All states `h` `[B, T, D]` of `h[t] = decay[t] * h[t-1] + enter[t]`.

    O(T D) work in O(T / N + N) operations one after the other, N blocks of about `SIDE_BY_SIDE`
    numbers in all, never more than sqrt(T) blocks; a clip of one frame is one step of O(D).

    Args:
        decay: `[B, T, D]`, at most 1 in magnitude.
        enter: `[B, T, D]`.
        start: `h[-1]`, `[B, D]`.
    """
    if torch.compiler.is_exporting():  # T is fixed and small
        states = []
        for t in range(decay.shape[1]):
            start = decay[:, t] * start + enter[:, t]
            states.append(start)
        return torch.stack(states, dim=1)
    states_of: Tensor = _Scan.apply(decay, enter, start)  # type: ignore[no-untyped-call]
    return states_of


class _Scan(torch.autograd.Function):
    """Keeps decays and states alone; the way back is the same scan from the end."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, enter: Tensor, start: Tensor) -> Tensor:
        states = _run(decay, enter, start)
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, start = ctx.saved_tensors
        # What reaches h[t] is its own gradient and decay[t+1] times what reaches h[t+1].
        later = torch.cat([torch.zeros_like(decay[:, :1]), decay.flip(1)[:, :-1]], dim=1)
        to_enter = _run(later, gradients[0].flip(1), torch.zeros_like(start)).flip(1)
        to_decay = torch.empty_like(to_enter)
        torch.mul(to_enter[:, 1:], states[:, :-1], out=to_decay[:, 1:])
        torch.mul(to_enter[:, 0], start, out=to_decay[:, 0])
        return to_decay, to_enter, decay[:, 0] * to_enter[:, 0]


def _run(decay: Tensor, enter: Tensor, start: Tensor) -> Tensor:
    """The scan without gradients: blocks of one size, then the frames that are left."""
    batch, frames, dim = decay.shape
    blocks = max(1, min(int(frames**0.5), SIDE_BY_SIDE // (batch * dim)))
    size = frames // blocks
    states = torch.empty_like(enter, memory_format=torch.contiguous_format)
    even = blocks * size

    def cut(x: Tensor) -> Sequence[Tensor]:
        """`size` views `[B, blocks, D]`: the first frame of every block, the second, ..."""
        return x[:, :even].reshape(batch, blocks, size, dim).unbind(2)

    decays, enters = cut(decay), cut(enter)
    # A view, not a copy, whatever `even` is: it is what the steps write to.
    rows = states[:, :even].view(batch, blocks, size, dim).unbind(2)
    begin = start[:, None]
    if blocks > 1:
        product, total = decays[0].clone(), enters[0].clone()
        for a, b in zip(decays[1:], enters[1:], strict=True):
            product *= a
            torch.addcmul(b, a, total, out=total)
        between = [start]
        for n in range(blocks - 1):
            between.append(torch.addcmul(total[:, n], product[:, n], between[-1]))
        begin = torch.stack(between, dim=1)
    _steps(decays, enters, begin, rows)
    _steps(
        decay[:, even:].unbind(1),
        enter[:, even:].unbind(1),
        states[:, even - 1],
        states[:, even:].unbind(1),
    )
    return states


def _steps(
    decays: Sequence[Tensor], enters: Sequence[Tensor], last: Tensor, rows: Sequence[Tensor]
) -> None:
    """One step after the other, written to `rows`."""
    for a, b, row in zip(decays, enters, rows, strict=True):
        torch.addcmul(b, a, last, out=row)
        last = row
