"""Every model family keeps the stream contract, float, on whole clips and on any chunks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgeseq.models import (
    ByteEmbeddingConfig,
    Chain,
    GruConfig,
    HybridConfig,
    LinearRnnConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.spec import State
from tests.contract import Backend, verify_stream_contract

ENCODERS = {
    "gru": GruConfig(hidden=24, layers=2),
    "lstm": LstmConfig(hidden=24, layers=2),
    "transformer": TransformerConfig(dim=16, layers=2, heads=2, window=7, feed_forward=24),
    "transformer-conv": TransformerConfig(
        dim=16, layers=2, heads=2, window=12, feed_forward=24, conv=4
    ),
    "transformer-shared-sinks": TransformerConfig(
        dim=16, layers=2, heads=4, window=9, feed_forward=24, kv_heads=2, sinks=3
    ),
    "transformer-dilated": TransformerConfig(
        dim=16, layers=2, heads=2, window=5, feed_forward=24, conv=3, dilation=3
    ),
    "transformer-latent": TransformerConfig(
        dim=16, layers=2, heads=4, window=8, feed_forward=24, latent=6, sinks=1
    ),
    "linear": LinearRnnConfig(dim=16, layers=2, feed_forward=24),
    "linear-alone": LinearRnnConfig(dim=24, layers=1, feed_forward=24, conv=0),
    "hybrid": HybridConfig(
        dim=16, layers=("linear", "attention", "linear"), heads=2, window=7, feed_forward=24
    ),
    "hybrid-dilated": HybridConfig(
        dim=16, layers=("attention", "linear"), heads=4, window=4, feed_forward=24,
        kv_heads=1, sinks=2, dilation=2,
    ),
    "hybrid-latent": HybridConfig(
        dim=16, layers=("attention", "linear"), heads=2, window=4, feed_forward=24, latent=5,
        dilation=2,
    ),
}  # fmt: skip
FRONTENDS = {"audio": LogMelConfig(), "bytes": ByteEmbeddingConfig(dim=40)}


def build(family: str, input_kind: str) -> Chain:
    """A model with weights large enough that every path matters."""
    torch.manual_seed(3)
    model = ModelConfig(FRONTENDS[input_kind], ENCODERS[family], 5).build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def torch_step(
    model: Chain, x: npt.NDArray[np.generic], state: State
) -> tuple[npt.NDArray[np.float32], State]:
    """One torch call on numpy arrays."""
    with torch.inference_mode():
        y, after = model(torch.from_numpy(x), {k: torch.from_numpy(v) for k, v in state.items()})
    return y.numpy(), {k: v.numpy() for k, v in after.items()}


def make_input(kind: str, batch: int, frames: int, seed: int) -> npt.NDArray[np.generic]:
    """Noise for audio, byte values for text."""
    rng = np.random.default_rng(seed)
    if kind == "bytes":
        return rng.integers(0, 256, (batch, frames, 1))
    return (0.1 * rng.standard_normal((batch, frames, 320))).astype(np.float32)


@pytest.mark.parametrize("input_kind", FRONTENDS)
@pytest.mark.parametrize("family", ENCODERS)
def test_stream_contract(family: str, input_kind: str) -> None:
    model = build(family, input_kind)
    verify_stream_contract(
        Backend(lambda x, s: torch_step(model, x, s), None, 3, model.receptive_field),
        model.state_spec,
        model.timing,
        lambda batch, frames, seed: make_input(input_kind, batch, frames, seed),
        tolerance=2e-5,
        frames=160,  # more than one block of attention
        long_steps=300,
    )


@pytest.mark.parametrize(
    ("family", "context"),
    [("gru", None), ("linear", None), ("hybrid", 7), ("transformer-dilated", 15)],
)
def test_left_context_is_the_length_of_the_longest_cache(family: str, context: int | None) -> None:
    """A hybrid has a cache, but its past has no bound."""
    model = build(family, "audio")
    assert model.timing.left_context == context
    assert (model.receptive_field is None) == (family != "transformer-dilated")


@pytest.mark.parametrize("family", ENCODERS)
def test_gradients_of_whole_clip_and_chunks_agree(family: str) -> None:
    model = build(family, "bytes").double()
    x = torch.randint(0, 256, (2, 30, 1))

    def gradients(sizes: list[int]) -> list[torch.Tensor]:
        state = {
            k: v.double() if v.is_floating_point() else v for k, v in model.initial_state(2).items()
        }
        outputs, at = [], 0
        for size in sizes:
            y, state = model(x[:, at : at + size], state)
            outputs.append(y)
            at += size
        loss = torch.cat(outputs, dim=1).square().sum()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    for whole, cut in zip(gradients([30]), gradients([1, 9, 13, 7]), strict=True):
        torch.testing.assert_close(whole, cut, rtol=1e-9, atol=1e-9)


def test_step_counter_has_no_end() -> None:
    """F37: nothing depends on how long the stream has run, only on what the window holds."""
    model = build("transformer", "audio")
    x = make_input("audio", 1, 60, 0)
    _, state = torch_step(model, x, model.state_spec.zeros(1))
    assert int(state["encoder.filled"][0]) == 7
    first, _ = torch_step(model, x[:, :1], state)
    for _ in range(3):
        _, state = torch_step(model, x, state)
    again, _ = torch_step(model, x[:, :1], state)
    np.testing.assert_allclose(first, again, atol=1e-5)
