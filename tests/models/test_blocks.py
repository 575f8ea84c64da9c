"""What a block costs and remembers, and what checkpoints of earlier versions rely on."""

from __future__ import annotations

import pytest
import torch

from edgeseq.models import HybridConfig, LinearRnnConfig, TransformerConfig
from edgeseq.models.linear_rnn import LONGEST, SHORTEST, GatedRecurrence


def test_a_state_never_exceeds_the_largest_value() -> None:
    """A loud constant hum, which makes other recurrences grow with their memory."""
    torch.manual_seed(0)
    layer = GatedRecurrence(12)
    with torch.no_grad():
        layer.enter.bias[:12] = -12.0  # fades after 160,000 frames
    x = 50 * torch.ones(1, 4000, 12)
    values = layer.enter(x).chunk(3, dim=-1)[1]
    state = 0.9 * values.abs().max() * torch.ones(1, 12)
    _, state = layer(x, state)
    assert state.abs().max() <= values.abs().max()
    assert state.abs().max() >= 0.85 * values.abs().max()


def test_time_constants_start_spread_over_their_logarithm() -> None:
    layer = GatedRecurrence(9)
    frames = 1 / torch.sigmoid(layer.enter.bias[:9])
    torch.testing.assert_close(frames[[0, -1]], torch.tensor([SHORTEST, LONGEST]))
    ratios = frames[1:] / frames[:-1]
    torch.testing.assert_close(ratios, ratios[0].expand(8), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize(
    ("config", "macs", "state_bytes"),
    [
        # enter; then product of 3 and 1 widths, recurrence, feed-forward, convolution.
        (
            LinearRnnConfig(input_dim=10, dim=8, layers=2, feed_forward=24, conv=4),
            10 * 8 + 2 * (4 * 64 + 8 + 2 * 8 * 24 + 4 * 8),
            4 * 2 * (8 + 3 * 8),
        ),
        # q and out of 8, k and v of 4; 5 keys, the frame itself, 2 sinks; 5 * 3 slots.
        (
            TransformerConfig(
                10, dim=8, layers=1, heads=4, window=5, feed_forward=24, conv=2,
                kv_heads=2, sinks=2, dilation=3,
            ),
            10 * 8 + 2 * 64 + 2 * 8 * 4 + 2 * 8 * (5 + 1 + 2) + 2 * 8 * 24 + 2 * 8,
            8 + 4 * (2 * 15 * 4 + 8),
        ),
        # q and out of 4 heads of 6, a latent of 6; 5 keys, the frame itself, a sink; 5 slots of 6.
        (
            TransformerConfig(
                10, dim=8, layers=1, heads=4, window=5, feed_forward=24, latent=6, sinks=1
            ),
            10 * 8 + 8 * (2 * 24 + 6) + 2 * 24 * (5 + 1 + 1) + 2 * 8 * 24,
            8 + 4 * 5 * 6,
        ),
        (
            HybridConfig(
                10, dim=8, layers=("attention", "linear"), heads=2, window=5, feed_forward=24,
                conv=0,
            ),
            10 * 8 + (4 * 64 + 2 * 8 * 6 + 2 * 8 * 24) + (4 * 64 + 8 + 2 * 8 * 24),
            8 + 4 * (2 * 5 * 8 + 8),
        ),
    ],
    ids=["linear", "transformer", "latent", "hybrid"],
)  # fmt: skip
def test_macs_and_state_bytes(
    config: LinearRnnConfig | TransformerConfig | HybridConfig, macs: int, state_bytes: int
) -> None:
    model = config.build()
    assert model.macs_per_frame() == macs
    assert model.state_spec.nbytes() == state_bytes
    assert sum(v.nbytes for v in model.initial_state(1).values()) == state_bytes


def test_names_of_weights_and_states_are_those_of_earlier_checkpoints() -> None:
    """A bundled model or a file of a user must stay loadable."""
    model = TransformerConfig(dim=8, layers=1, heads=2, window=3, feed_forward=8, conv=2).build()
    block = [
        "conv.weight", "conv.bias", "norm_attention.weight", "norm_attention.bias",
        "attention.distance_bias", "attention.qkv.weight", "attention.qkv.bias",
        "attention.out.weight", "attention.out.bias", "norm_feed.weight", "norm_feed.bias",
        "feed.0.weight", "feed.0.bias", "feed.2.weight", "feed.2.bias",
    ]  # fmt: skip
    names = ["enter.weight", "enter.bias", *(f"blocks.0.{n}" for n in block)]
    assert list(model.state_dict()) == [*names, "norm.weight", "norm.bias"]
    assert model.state_spec.names == ("filled", "0.k", "0.v", "0.conv")
