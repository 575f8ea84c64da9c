"""One masked product, blocks, and the plain formula give the same numbers and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgeseq.models.attention import BLOCK, LocalAttention
from tests.contract import POISON

HEADS, HEAD_DIM = 4, 4
DIM = HEADS * HEAD_DIM


class Whole(LocalAttention):
    """The mask form at any length."""

    def blocks(self, frames: int) -> int:
        return 1


def plain(layer: LocalAttention, x: Tensor, caches: list[Tensor], filled: Tensor) -> Tensor:
    """The definition, query by query: softmax over the seen keys, nothing else."""
    shared = layer.heads // layer.kv_heads
    q, *new = layer.qkv(x).split(layer.widths, dim=-1)
    both = zip(caches, new, strict=True)
    seen = [
        torch.cat([a.transpose(1, 2), b.unflatten(-1, (layer.kv_heads, -1))], dim=1)
        for a, b in both
    ]
    k, v = seen[0], seen[-1]
    q, slots, step = q.unflatten(-1, (layer.heads, -1)), caches[0].shape[2], layer.dilation
    rows = []
    for b in range(len(x)):
        for t in range(x.shape[1]):
            distances = torch.arange(layer.window + 1)
            at = slots + t - distances * step
            distances = distances[at >= slots - int(filled[b])]
            at = slots + t - distances * step
            heads = []
            for h in range(layer.heads):
                own_k, own_v = k[b, at, h // shared], v[b, at, h // shared]
                bias = layer.distance_bias[h, distances]
                if layer.sink_keys is not None and layer.sink_values is not None:
                    own_k = torch.cat([layer.sink_keys[h // shared], own_k])
                    own_v = torch.cat([layer.sink_values[h // shared], own_v])
                    bias = torch.cat([torch.zeros(layer.sink_keys.shape[1]), bias])
                scores = own_k @ q[b, t, h] / layer.head_dim**0.5 + bias
                heads.append(scores.softmax(0) @ own_v)
            rows.append(torch.cat(heads))
    return layer.out(torch.stack(rows).reshape(*x.shape[:2], -1))


def draw(
    layer: LocalAttention, batch: int, frames: int, filled: list[int]
) -> tuple[Tensor, list[Tensor], Tensor]:
    torch.manual_seed(frames)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.4)
    valid = torch.tensor(filled[:batch])
    slots = layer.cache_shape[1]
    caches = torch.randn(len(layer.cache_names), batch, *layer.cache_shape)
    empty = torch.arange(slots) < slots - valid[:, None]
    caches = torch.where(empty[None, :, None, :, None], POISON, caches)
    return torch.randn(batch, frames, DIM), list(caches), valid


def gradients(y: Tensor, layer: LocalAttention, inputs: list[Tensor]) -> list[Tensor]:
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((y * weight).mean(), [*layer.parameters(), *inputs]))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_blocks_equal_the_mask_form(data: st.DataObject) -> None:
    """Random batch, length, window, options and filling, in float32: numbers and gradients."""
    window = data.draw(st.integers(1, 80), label="window")
    batch = data.draw(st.integers(1, 3), label="batch")
    frames = data.draw(st.integers(1, 6 * BLOCK), label="frames")
    options = {
        "kv_heads": data.draw(st.sampled_from([0, 1, 2])),
        "sinks": data.draw(st.integers(0, 2)),
        "dilation": data.draw(st.sampled_from([1, 1, 3])),
    }
    if not options["kv_heads"]:
        options["latent"] = data.draw(st.sampled_from([0, 6]))
    ours = LocalAttention(DIM, HEADS, window, **options)
    theirs = Whole(DIM, HEADS, window, **options)
    slots = st.integers(0, ours.cache_shape[1])
    filled = data.draw(st.lists(slots, min_size=3, max_size=3), label="filled")
    x, caches, valid = draw(ours, batch, frames, filled)
    theirs.load_state_dict(ours.state_dict())
    got_all, wanted_all = [], []
    for layer, results in ((ours, got_all), (theirs, wanted_all)):
        inputs = [p.clone().requires_grad_() for p in (x, *caches)]
        y, *after = layer(inputs[0], inputs[1:], valid)
        results += [y, *after, *gradients(y, layer, inputs)]
    for got, wanted in zip(got_all, wanted_all, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "window", "options"),
    [
        (20, 7, {}),
        (2 * BLOCK + 30, 9, {}),
        (2 * BLOCK + 30, 9, {"kv_heads": 2, "sinks": 2}),
        (400, 5, {"kv_heads": 1, "dilation": 2}),
        (20, 7, {"latent": 6}),
        (2 * BLOCK + 30, 9, {"latent": 10, "sinks": 1}),
    ],
)
def test_attention_is_the_plain_formula(frames: int, window: int, options: dict[str, int]) -> None:
    layer = LocalAttention(DIM, HEADS, window, **options)
    x, caches, valid = draw(layer, 2, frames, [window // 2, 0])
    with torch.no_grad():
        got, *_ = layer(x, caches, valid)
        torch.testing.assert_close(got, plain(layer, x, caches, valid), rtol=1e-5, atol=1e-5)


def test_a_short_clip_is_one_block_and_a_long_one_costs_the_same_a_frame() -> None:
    """The form is chosen by length: one masked product, then blocks of at most BLOCK frames."""
    layer = LocalAttention(DIM, HEADS, 96)
    assert [layer.blocks(frames) for frames in (1, 100, 224, 225, 400, 6400)] == [
        1, 1, 1, 4, 7, 100,
    ]  # fmt: skip
