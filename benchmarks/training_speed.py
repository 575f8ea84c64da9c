"""Frames per second of training steps: nn.GRU, linear recurrence, local attention, equal width.

    python -m benchmarks.training_speed [--width 256] [--frames 12800] [--rounds 5]

One step is forward and backward of one layer (`nn.GRU`, `GatedRecurrence`, `LocalAttention`), and
of one block with its convolution and feed-forward layer. Every length T has the same number of
frames in a step, in fewer and longer clips. Rounds of all rows are interleaved in one process on
one thread, and time is processor time, so that a busy machine hurts all alike; figures are medians,
and only ratios between them are meant to be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn

from edgeseq.models.attention import LocalAttention
from edgeseq.models.linear_rnn import GatedRecurrence, LinearBlock
from edgeseq.models.stack import StackBlock
from edgeseq.models.transformer import Block, TransformerConfig

LENGTHS = (100, 400, 1600, 6400)
HEADS = 4

Step = Callable[[Tensor], object]


def steps_of(width: int, window: int) -> dict[str, tuple[nn.Module, Step]]:
    """The rows: a module, and its forward from an empty state."""
    gru = nn.GRU(width, width, batch_first=True)
    linear = GatedRecurrence(width)
    attention = LocalAttention(width, HEADS, window)
    linear_block = LinearBlock(width, 2 * width, 4, 0.0)
    attention_block = Block(
        TransformerConfig(dim=width, heads=HEADS, window=window, feed_forward=2 * width, conv=4)
    )

    def attend(x: Tensor) -> Tensor:
        empty = torch.zeros(len(x), *attention.cache_shape)
        return attention(x, empty, empty, torch.zeros(len(x), dtype=torch.int64))[0]

    def run(block: StackBlock) -> Step:
        def step(x: Tensor) -> Tensor:
            state = {t.name: torch.zeros(t.bound(len(x))) for t in block.state}
            return block(x, state, torch.zeros(len(x), dtype=torch.int64))[0]

        return step

    return {
        "nn.GRU": (gru, lambda x: gru(x)[0]),
        "linear": (linear, lambda x: linear(x, torch.zeros(len(x), width))[0]),
        "attention": (attention, attend),
        "linear block": (linear_block, run(linear_block)),
        "attention block": (attention_block, run(attention_block)),
    }


def seconds(module: nn.Module, step: Step, x: Tensor) -> float:
    """Processor time of one forward and backward."""
    module.zero_grad()
    begin = process_time()
    y = step(x)
    assert isinstance(y, Tensor)
    y.square().mean().backward()
    return process_time() - begin


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
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = steps_of(options.width, options.window)
    taken: dict[tuple[str, int], list[float]] = {}
    for round_number in range(options.rounds + 1):
        for frames in options.lengths:
            x = torch.randn(max(1, options.frames // frames), frames, options.width)
            x.requires_grad_()
            for name, (module, step) in rows.items():
                spent = seconds(module, step, x) / (x.shape[0] * frames)
                if round_number:  # the first round warms up
                    taken.setdefault((name, frames), []).append(spent)
        print(f"round {round_number} of {options.rounds}", file=sys.stderr)
    print(
        f"width {options.width}, window {options.window}, {options.frames} frames a step, one "
        f"thread, torch {torch.__version__}; median of {options.rounds} rounds, frames per second "
        "of processor time (times nn.GRU)"
    )
    print(f"{'T':>16}" + "".join(f"{t:>18}" for t in options.lengths))
    for name in rows:
        cells = ""
        for frames in options.lengths:
            own, gru = (median(taken[key, frames]) for key in (name, "nn.GRU"))
            cells += f"{1 / own:>10,.0f} ({gru / own:.2f}x)"
        print(f"{name:>16}{cells}")


if __name__ == "__main__":
    main()
