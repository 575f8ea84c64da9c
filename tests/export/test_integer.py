"""The integer program keeps the stream contract, is near the float model, never overflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgeseq.errors import ExportError, StateError
from edgeseq.models import (
    Chain,
    HybridConfig,
    LinearRnnConfig,
    LogMelConfig,
    TransformerConfig,
)
from edgeseq.models.heads import HeadConfig
from edgeseq_export.integer import build_program, calibration_input, fixed
from edgeseq_export.integer.calibrate import best_scale
from edgeseq_export.integer.dense import make_dense
from edgeseq_export.integer.logmel import fft
from edgeseq_export.integer.transformer import make_norm
from tests.contract import Backend, verify_stream_contract
from tests.export.integer_models import CONFIGS, float_model, noise, program

INT32 = st.integers(-(2**31), 2**31 - 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_stream_contract(name: str) -> None:
    built = program(name)
    verify_stream_contract(
        Backend(built.step, None, 3, float_model(name).receptive_field),
        built.state_spec,
        built.timing,
        lambda batch, frames, seed: noise(built, batch, frames, seed),
        tolerance=0,
        frames=96,
        long_steps=200,
    )


@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.endswith("loud")])
def test_real_input_gives_nearly_the_logits_of_the_float_model(name: str) -> None:
    """Free-running over 200 frames of the bundled clip, so that state errors would add up."""
    model, built = float_model(name), program(name)
    x = calibration_input(model)[:1, :200]
    with torch.inference_mode():
        wanted = model(x, model.initial_state(1))[0].numpy()
    y, _ = built.step(built.quantize_input(x.numpy()), built.state_spec.zeros(1))
    gap = built.logits(y) - wanted
    assert np.sqrt(np.square(gap).mean()) < 0.05 * np.sqrt(np.square(wanted).mean())


@pytest.mark.parametrize("name", CONFIGS)
def test_state_takes_at_most_half_of_what_the_float_model_needs(name: str) -> None:
    """Heads padded to 8 and the ring's extra slot included."""
    assert 2 * program(name).state_spec.nbytes(1) <= float_model(name).state_spec.nbytes(1)


@settings(deadline=None)
@given(INT32, st.integers(1, 2**31 - 1), st.integers(1, 62))
def test_rescale_rounds_half_up_within_int64(value: int, multiplier: int, shift: int) -> None:
    got = int(fixed.rescale(np.array([value]), multiplier, shift)[0])
    assert got == (value * multiplier + (1 << (shift - 1))) >> shift
    assert abs(value * multiplier) + (1 << (shift - 1)) < 2**63


@pytest.mark.parametrize(("value", "wanted"), [(3, 2), (1, 1), (-1, 0), (-3, -1), (5, 3)])
def test_ties_go_up(value: int, wanted: int) -> None:
    assert fixed.rescale(np.array([value]), 1, 1)[0] == wanted


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_multipliers_keep_the_largest_factor_to_thirty_bits(factors: list[float]) -> None:
    multiplier, shift = fixed.multipliers(factors)
    assert 1 <= shift <= 62
    assert multiplier.min() >= 0
    assert multiplier.max() < 2**31
    top = int(np.argmax(factors))
    assert multiplier[top] / 2.0**shift == pytest.approx(factors[top], rel=2e-9)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan, 2.0**29])
def test_scales_that_no_multiplier_can_hold_stop_the_export(factor: float) -> None:
    with pytest.raises(ExportError, match="scales"):
        fixed.multipliers([factor])


def test_tables_are_near_the_functions_they_stand_for() -> None:
    x = np.arange(-32768, 32768)
    real = x / 2.0**fixed.GATE_BITS
    assert np.abs(fixed.sigmoid(x) / 32768 - 1 / (1 + np.exp(-real))).max() < 4e-4
    # Its table ends where tanh is 0.99933.
    assert np.abs(fixed.tanh(x) / 32768 - np.tanh(real)).max() < 8e-4
    assert (np.diff(fixed.sigmoid(x)) >= 0).all()
    u = np.arange(0, 6000)
    assert np.abs(fixed.exp2_negative(u) / 32767 - 2.0 ** (-u / 256)).max() < 5e-5


@settings(deadline=None)
@given(st.integers(1, 2**63 - 1))
def test_logarithm_and_bit_length(value: int) -> None:
    assert fixed.bit_length(np.array([value]))[0] == value.bit_length()
    assert fixed.log2_q15(np.array([value]))[0] / 32768 == pytest.approx(math.log2(value), abs=2e-4)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_integer_square_root(value: int) -> None:
    assert fixed.integer_sqrt(np.array([value]))[0] == math.isqrt(value)


@pytest.mark.parametrize("size", [32, 256])
def test_fft_of_the_loudest_input_is_right_and_stays_below_31_bits(size: int) -> None:
    angle = np.pi * np.arange(size) / size
    twiddles = np.round(np.stack([np.cos(angle), -np.sin(angle)], 1) * 2.0**30).astype(np.int64)
    rng = np.random.default_rng(0)
    z = rng.integers(-(2**30) // size, 2**30 // size, (4, size, 2))
    z[0] = 2**30 // size  # all energy in one bin
    re, im = fft(z[..., 0], z[..., 1], twiddles)
    assert max(np.abs(re).max(), np.abs(im).max()) <= 2**30 + size
    wanted = np.fft.fft(z[..., 0] + 1j * z[..., 1])
    assert np.abs(re + 1j * im - wanted).max() < 4 * np.log2(size)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_extremes_of_pcm_never_leave_the_number_ranges(name: str) -> None:
    """Full-scale square waves and -32768: every state keeps its dtype, every logit is an int16."""
    built = program(name)
    x = np.full((3, 40, built.input_dim), -32768, np.int16)
    x[1, :, (np.arange(320) // 16) % 2 == 0] = 32767  # 500 Hz
    x[0, ::7] = 32767
    x[2] = 0
    y, state = built.step(x, built.state_spec.zeros(3))
    built.state_spec.check(state, 3)
    assert np.unique(y[:, -1], axis=0).shape[0] == 3


def test_saturation_of_a_product() -> None:
    dense = make_dense(np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([0.0, 3.0]), 1.0, 1.0)
    y = dense(np.array([[127, -128], [-128, 127]]), 8)
    assert y.tolist() == [[127, 3], [-128, 3]]


def test_layer_norm_of_a_constant_frame_is_its_bias() -> None:
    norm = make_norm(np.ones(8), np.full(8, 0.5), 0.001, 0.01)
    assert norm(np.full((1, 8), 32767)).tolist() == [[50] * 8]
    assert norm(np.full((1, 8), -32768)).tolist() == [[50] * 8]


def test_best_scale_prefers_resolution_over_one_outlier() -> None:
    values = np.concatenate([np.linspace(-1, 1, 10001), [3.0]])
    assert 1 / 127 <= best_scale(values) < 3 / 127
    assert best_scale(np.zeros(3)) == pytest.approx(1 / 127)


def test_unknown_layers_and_sizes_stop_the_export() -> None:
    class Odd(type(HeadConfig(3, 3).build())):  # type: ignore[misc]
        pass

    model = float_model("gru")
    head = Odd(HeadConfig(7, 40))
    odd = Chain([("frontend", model.layers["frontend"]), ("head", head)])  # type: ignore[list-item]
    with pytest.raises(ExportError, match="Odd, which has no integer definition"):
        build_program(odd, torch.zeros(1, 2, 320))
    window = LogMelConfig(window=400, hop=160).build()
    wide = Chain([("frontend", window), ("head", HeadConfig(3, 40).build())])
    with pytest.raises(ExportError, match=r"window is 400; .* 512"):
        build_program(wide, torch.randn(1, 2, 160))
    far = TransformerConfig(dim=8, layers=1, heads=1, window=511).build()
    chain = Chain([("f", LogMelConfig().build()), ("t", far), ("h", HeadConfig(3, 8).build())])
    with pytest.raises(ExportError, match="at most 510"):
        build_program(chain, torch.randn(1, 2, 320))


def test_weights_that_are_not_finite_stop_the_export() -> None:
    with pytest.raises(ExportError, match="not finite"):
        make_dense(np.array([[np.nan]]), np.zeros(1), 1.0, 1.0)


def test_input_of_another_type_is_refused() -> None:
    built = program("gru")
    with pytest.raises(StateError, match="int16"):
        built.step(np.zeros((1, 1, 320), np.float32), built.state_spec.zeros(1))
    assert isinstance(float_model("gru"), nn.Module)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (LinearRnnConfig(dim=8, layers=1), "'t' is a LinearRnn, which has no integer definition"),
        (HybridConfig(dim=8, heads=2), "'t' is a Hybrid, which has no integer definition"),
        (TransformerConfig(dim=8, heads=4, kv_heads=2), "has kv_heads 2; .* only 4"),
        (TransformerConfig(dim=8, sinks=1), "has sinks 1; .* only 0"),
        (TransformerConfig(dim=8, conv=2, dilation=2), "has dilation 2; .* only 1"),
    ],
)
def test_layers_without_integer_definition_stop_the_export(
    encoder: LinearRnnConfig | HybridConfig | TransformerConfig, message: str
) -> None:
    layers = [("f", LogMelConfig()), ("t", encoder), ("h", HeadConfig(3, 8))]
    with pytest.raises(ExportError, match=message):
        build_program(Chain([(n, c.build()) for n, c in layers]), torch.randn(1, 2, 320))


def test_as_many_key_heads_as_heads_is_plain_attention() -> None:
    config = TransformerConfig(dim=8, layers=1, heads=2, window=4, feed_forward=8, kv_heads=2)
    layers = [("f", LogMelConfig()), ("t", config), ("h", HeadConfig(3, 8))]
    x = 0.1 * torch.randn(1, 12, 320)
    program = build_program(Chain([(n, c.build()) for n, c in layers]), x)
    y, _ = program.step(program.quantize_input(x.numpy()), program.state_spec.zeros(1))
    assert y.shape == (1, 12, 3)
