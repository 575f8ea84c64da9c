"""Frames per second of training steps: nn.GRU, linear recurrence, local attention, equal width.

    python -m benchmarks.training_speed [--width 256] [--frames 12800] [--rounds 5] [--rows NAME]

One step is forward and backward of one layer (`nn.GRU`, `GatedRecurrence`, `LocalAttention`), and
of one block with its convolution and feed-forward layer. `--rows masked blocks attention` shows the
two forms of attention, one masked product and blocks of `--block` frames, beside the layer, which
takes the faster one for each T. Every length T has the same number of
frames in a step, in fewer and longer clips. Rounds of all rows are interleaved in one process on
one thread, and time is processor time, so that a busy machine hurts all alike; figures are medians,
and only ratios between them are meant to be compared: in brackets, to the first row (nn.GRU, or the
first of `--rows`) at the same T, and to the row's own T = 400.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, process_time

import torch
from torch import Tensor, nn

from edgeseq.models.attention import BLOCK, LocalAttention
from edgeseq.models.linear_rnn import GatedRecurrence, LinearBlock
from edgeseq.models.stack import StackBlock
from edgeseq.models.transformer import Block, TransformerConfig

LENGTHS = (100, 400, 1600, 6400)
ROWS = ("nn.GRU", "linear", "attention", "linear block", "attention block")
FLAT = 400
HEADS = 4

Step = Callable[[Tensor], object]


class Forced(LocalAttention):
    """Attention in blocks of a given size, whatever the length."""

    def __init__(self, width: int, window: int, block: int) -> None:
        """Build it; a block of 0 frames is the whole clip."""
        super().__init__(width, HEADS, window)
        self.block = block

    def blocks(self, frames: int) -> int:
        """As many as the size asks for."""
        return -(-frames // self.block) if self.block else 1


def steps_of(
    width: int, window: int, block: int = BLOCK, device: str = "cpu"
) -> dict[str, tuple[nn.Module, Step]]:
    """The rows: a module, and its forward from an empty state."""
    gru = nn.GRU(width, width, batch_first=True)
    linear = GatedRecurrence(width)
    attention = LocalAttention(width, HEADS, window)
    masked, blocks = Forced(width, window, 0), Forced(width, window, block)
    linear_block = LinearBlock(width, 2 * width, 4, 0.0)
    attention_block = Block(
        TransformerConfig(dim=width, heads=HEADS, window=window, feed_forward=2 * width, conv=4)
    )

    def attend(layer: LocalAttention) -> Step:
        def step(x: Tensor) -> Tensor:
            empty = torch.zeros(len(x), *layer.cache_shape, device=x.device)
            filled = torch.zeros(len(x), dtype=torch.int64, device=x.device)
            return layer(x, [empty] * 2, filled)[0]

        return step

    def run(block: StackBlock) -> Step:
        def step(x: Tensor) -> Tensor:
            state = {t.name: torch.zeros(t.bound(len(x)), device=x.device) for t in block.state}
            return block(x, state, torch.zeros(len(x), dtype=torch.int64, device=x.device))[0]

        return step

    def scan(x: Tensor) -> Tensor:
        return linear(x, torch.zeros(len(x), width, device=x.device))[0]

    rows: dict[str, tuple[nn.Module, Step]] = {
        "nn.GRU": (gru, lambda x: gru(x)[0]),
        "linear": (linear, scan),
        "attention": (attention, attend(attention)),
        "linear block": (linear_block, run(linear_block)),
        "attention block": (attention_block, run(attention_block)),
        "masked": (masked, attend(masked)),
        "blocks": (blocks, attend(blocks)),
    }
    for module, _ in rows.values():
        module.to(device)
    return rows


def seconds(module: nn.Module, step: Step, x: Tensor) -> float:
    """Processor time of one forward and backward; on a GPU the time until it is done."""
    module.zero_grad()
    if x.is_cuda:
        torch.cuda.synchronize()
    clock = perf_counter if x.is_cuda else process_time
    begin = clock()
    y = step(x)
    assert isinstance(y, Tensor)
    y.square().mean().backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    return clock() - begin


def measure(
    lengths: Sequence[int],
    frames: int,
    rounds: int,
    *,
    width: int = 256,
    window: int = 96,
    device: str = "cpu",
    block: int = BLOCK,
    only: Sequence[str] = (),
) -> dict[tuple[str, int], float]:
    """Median seconds a frame by row and length, of rounds in which all take turns.

    Args:
        lengths: frames of a clip.
        frames: of one step, over all its clips.
        rounds: how often each; one more before them warms up.
        width: of every layer.
        window: past frames that attention sees.
        device: of torch.
        block: frames of one of the row `blocks`.
        only: rows to measure; all of them without any.
    """
    known = steps_of(width, window, block, device)
    rows = {name: known[name] for name in only or ROWS}
    taken: dict[tuple[str, int], list[float]] = {}
    for round_number in range(rounds + 1):
        for length in lengths:
            x = torch.randn(max(1, frames // length), length, width, device=device)
            x.requires_grad_()
            for name, (module, step) in rows.items():
                spent = seconds(module, step, x) / (x.shape[0] * length)
                if round_number:
                    taken.setdefault((name, length), []).append(spent)
        print(f"round {round_number} of {rounds}", file=sys.stderr)
    return {key: median(times) for key, times in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--window", type=int, default=96, help="past frames that attention sees")
    parser.add_argument("--frames", type=int, default=12_800, help="of one step, over all clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--rows", nargs="+", metavar="NAME", default=ROWS)
    parser.add_argument("--block", type=int, default=BLOCK, help="frames of one of `blocks`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    known = steps_of(options.width, options.window)
    if odd := set(options.rows) - set(known):
        parser.error(f"no row is called {sorted(odd)}; allowed: {', '.join(known)}")
    taken = measure(
        options.lengths, options.frames, options.rounds, width=options.width,
        window=options.window, block=options.block, only=options.rows,
    )  # fmt: skip
    first = options.rows[0]
    flat = FLAT if FLAT in options.lengths else options.lengths[0]
    print(
        f"width {options.width}, window {options.window}, {options.frames} frames a step, one "
        f"thread, torch {torch.__version__}; median of {options.rounds} rounds, frames per second "
        f"of processor time (times {first}, times own T = {flat})"
    )
    print(f"{'T':>16}" + "".join(f"{t:>24}" for t in options.lengths))
    for name in options.rows:
        cells = ""
        for frames in options.lengths:
            own, other, base = taken[name, frames], taken[first, frames], taken[name, flat]
            cells += f"{1 / own:>10,.0f} ({other / own:.2f}x {base / own:.2f}x)"
        print(f"{name:>16}{cells}")


if __name__ == "__main__":
    main()
