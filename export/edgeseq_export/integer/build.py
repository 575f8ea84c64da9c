"""From a trained model and real input to its integer program."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from edgeseq.errors import ExportError
from edgeseq.models import Chain, StreamModel
from edgeseq.models.bytes import ByteEmbedding
from edgeseq.models.frontend import LogMel
from edgeseq.models.heads import Head
from edgeseq.models.rnn import Gru, Lstm
from edgeseq.models.transformer import Block, Transformer

from .calibrate import Recorder, best_scale
from .dense import ByteTable, HeadLayer, make_dense
from .fixed import GATE_BITS, Reals, aligned
from .logmel import make_logmel
from .program import IntegerLayer, IntegerProgram
from .rnn import HIDDEN_SCALE, GruLayer, LstmLayer
from .transformer import (
    MAX_DIM,
    BlockLayer,
    TransformerLayer,
    make_attention,
    make_conv,
    make_norm,
)

__all__ = ["build_program"]

HEADROOM = 1.5
"""Room above what calibration saw, where clipping would cost more than resolution."""

CELL_BITS = range(11, 15)
FRACTION_BITS = range(5, 12)


def array(tensor: Tensor) -> Reals:
    """Weights as float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())


def build_program(model: Chain, calibration: Tensor) -> IntegerProgram:
    """Quantize a model.

    Args:
        model: frontend, encoder, head.
        calibration: real input `[B, T, D]` (`calibration_input`).

    Raises:
        ExportError: a layer has no integer definition, or a size is beyond what it allows.
    """
    recorder = Recorder(model)
    recorder.watch("y", model)
    layers: list[tuple[str, IntegerLayer]] = []
    named = [(n, layer) for n, layer in model.layers.items() if isinstance(layer, StreamModel)]
    for name, layer in named:
        if type(layer) not in (LogMel, ByteEmbedding, Gru, Lstm, Transformer, Head):
            raise ExportError(
                f"layer {name!r} is a {type(layer).__name__}, which has no integer definition; "
                "known: LogMel, ByteEmbedding, Gru, Lstm, Transformer, Head"
            )
        recorder.watch(name, layer)
        if isinstance(layer, Transformer):
            _plain(name, layer)
            _watch_transformer(recorder, name, layer)
    recorder.run(calibration, stepwise=any(isinstance(layer, Lstm) for _, layer in named))
    scale, fraction = 1.0, 0
    for name, layer in named:
        if isinstance(layer, LogMel):
            scale = recorder.scale(name)
            layers.append(
                (name, make_logmel(layer.config, array(layer.mean), array(layer.scale), scale))
            )
        elif isinstance(layer, ByteEmbedding):
            table = array(layer.table.weight)
            scale = best_scale(table)
            quantized = np.clip(np.round(table / scale), -127, 127).astype(np.int64)
            layers.append((name, ByteTable(quantized)))
        elif isinstance(layer, Gru | Lstm):
            layers += _rnn_layers(recorder, name, layer, scale)
            scale = HIDDEN_SCALE
        elif isinstance(layer, Transformer):
            scale_in, scale = scale, recorder.scale(name)
            layers.append((name, _transformer(recorder, name, layer, scale_in, scale)))
        elif isinstance(layer, Head):
            fraction = max(
                (b for b in FRACTION_BITS if 2 * recorder.largest("y") * 2**b < 32768),
                default=FRACTION_BITS[0],
            )
            dense = make_dense(
                array(layer.linear.weight), array(layer.linear.bias), scale, 2.0**-fraction
            )
            layers.append((name, HeadLayer(dense, fraction)))
    if not isinstance(named[-1][1], Head):
        raise ExportError(f"the last layer is {named[-1][0]!r}; an integer program ends in a Head")
    return IntegerProgram(
        tuple(layers),
        model.timing,
        model.input_dim,
        model.output_dim,
        fraction,
        model.macs_per_frame(),
    )


def _rnn_layers(
    recorder: Recorder, name: str, layer: Gru | Lstm, in_scale: float
) -> list[tuple[str, IntegerLayer]]:
    layers: list[tuple[str, IntegerLayer]] = []
    gate = 2.0**-GATE_BITS
    for n in range(layer.config.layers):
        w_x, w_h, b_x, b_h = (
            array(getattr(layer.rnn, f"{kind}_l{n}"))
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        from_x = make_dense(w_x, b_x, in_scale, gate)
        from_h = make_dense(w_h, b_h, HIDDEN_SCALE, gate)
        if isinstance(layer, Gru):
            layers.append((f"{name}.{n}", GruLayer(from_x, from_h)))
        else:
            largest = HEADROOM * recorder.largest(f"state.{name}.{n}.c")
            bits = max((b for b in CELL_BITS if largest * 2**b < 32768), default=CELL_BITS[0])
            layers.append((f"{name}.{n}", LstmLayer(from_x, from_h, bits)))
        in_scale = HIDDEN_SCALE
    return layers


def _blocks(layer: Transformer) -> list[Block]:
    return [block for block in layer.blocks if isinstance(block, Block)]


def _plain(name: str, layer: Transformer) -> None:
    """Refuse options of attention that the integer program does not have."""
    c = layer.config
    plain = {"kv_heads": c.heads, "sinks": 0, "dilation": 1, "latent": 0}
    for option, value in plain.items():
        if getattr(c, option) not in (0, value):
            raise ExportError(
                f"layer {name!r} has {option} {getattr(c, option)}; the integer program knows "
                f"only {value} here"
            )


def _watch_transformer(recorder: Recorder, name: str, layer: Transformer) -> None:
    recorder.watch(f"{name}.enter", layer.enter)
    for n, block in enumerate(_blocks(layer)):
        at = f"{name}.{n}"
        recorder.watch(f"{at}.norm_attention", block.norm_attention)
        if block.conv is not None:
            recorder.watch(f"{at}.conv", block.conv)
        recorder.watch(f"{at}.qkv", block.attention.qkv)
        recorder.watch(f"{at}.mixed", block.attention.out, entering=True)
        recorder.watch(f"{at}.middle", block.norm_feed, entering=True)
        recorder.watch(f"{at}.norm_feed", block.norm_feed)
        recorder.watch(f"{at}.wide", block.feed[1])
        recorder.watch(f"{at}.residual", block)


def _transformer(
    recorder: Recorder, name: str, layer: Transformer, in_scale: float, out_scale: float
) -> TransformerLayer:
    c = layer.config
    if c.dim > MAX_DIM:
        raise ExportError(f"model.encoder.dim is {c.dim}; the integer LayerNorm takes {MAX_DIM}")
    inner = [f"{name}.{n}.{part}" for n in range(c.layers) for part in ("middle", "residual")]
    residual = HEADROOM * max(1e-6, recorder.largest(f"{name}.enter", *inner)) / 32767
    norm = make_norm(array(layer.norm.weight), array(layer.norm.bias), residual, out_scale)
    return TransformerLayer(
        make_dense(array(layer.enter.weight), array(layer.enter.bias), in_scale, residual),
        tuple(
            _block(recorder, f"{name}.{n}", block, residual)
            for n, block in enumerate(_blocks(layer))
        ),
        norm,
        c.window,
        c.heads,
        aligned(c.dim // c.heads),
    )


def _block(recorder: Recorder, at: str, block: Block, residual: float) -> BlockLayer:
    attention = block.attention
    heads, dim = attention.heads, attention.out.in_features
    head_dim = dim // heads
    padded = aligned(head_dim)
    normed = recorder.scale(f"{at}.norm_attention")
    norm_attention = make_norm(*_norm(block.norm_attention), residual, normed)
    conv = None
    if block.conv is not None:
        convolved = recorder.scale(f"{at}.conv")
        conv = make_conv(array(block.conv.weight), array(block.conv.bias), normed, convolved)
        normed = convolved
    # One scale for each head of q, k and v.
    seen = recorder.values(f"{at}.qkv").reshape(-1, 3, heads, head_dim)
    scales = np.array([[best_scale(seen[:, p, h]) for h in range(heads)] for p in range(3)])

    def pad(values: Reals, axis: int) -> Reals:
        """Rows (or columns) of each head filled up with zeros."""
        shape = (*values.shape[:axis], -1, head_dim, *values.shape[axis + 1 :])
        widths = [(0, 0)] * len(shape)
        widths[axis + 1] = (0, padded - head_dim)
        out = np.pad(values.reshape(shape), widths)
        return out.reshape((*values.shape[:axis], -1, *values.shape[axis + 1 :]))

    qkv = make_dense(
        pad(array(attention.qkv.weight), 0),
        pad(array(attention.qkv.bias), 0),
        normed,
        np.repeat(scales.reshape(-1), padded),
    )
    mixed = recorder.scale(f"{at}.mixed")
    fed, wide = recorder.scale(f"{at}.norm_feed"), recorder.scale(f"{at}.wide")
    enter, leave = block.feed[0], block.feed[2]
    assert isinstance(enter, nn.Linear)
    assert isinstance(leave, nn.Linear)
    return BlockLayer(
        norm_attention,
        conv,
        qkv,
        make_attention(
            scales[0] * scales[1] / np.sqrt(head_dim),
            array(attention.distance_bias),
            scales[2],
            mixed,
        ),
        make_dense(pad(array(attention.out.weight), 1), array(attention.out.bias), mixed, residual),
        make_norm(*_norm(block.norm_feed), residual, fed),
        make_dense(array(enter.weight), array(enter.bias), fed, wide),
        make_dense(array(leave.weight), array(leave.bias), wide, residual),
    )


def _norm(norm: nn.LayerNorm) -> tuple[Reals, Reals]:
    if norm.eps != 1e-5 or not norm.elementwise_affine:
        raise ExportError(f"a LayerNorm has eps {norm.eps}; the integer program knows 1e-5")
    return array(norm.weight), array(norm.bias)
