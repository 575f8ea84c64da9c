"""Writes an integer program as the section that the engine loads (firmware_sim/host/es_host.h)."""

from __future__ import annotations

import numpy as np

from edgeseq.errors import ExportError
from edgeseq.runtime.esq_file import ALIGN

from .integer import IntegerProgram
from .integer.dense import ByteTable, Dense, HeadLayer
from .integer.fixed import ALIGN as STRIDE_ALIGN
from .integer.fixed import Ints
from .integer.logmel import LogMelLayer
from .integer.rnn import GruLayer, LstmLayer
from .integer.transformer import BlockLayer, Norm, TransformerLayer

__all__ = ["write_section"]

MAGIC = 0x31707365
MODEL_FORMAT = 1
LOGMEL, BYTES, GRU, LSTM, TRANSFORMER, HEAD = range(1, 7)


class Section:
    """Numbers and arrays, each in the order in which the engine reads them."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._words: list[int] = []
        self._arrays: list[bytes] = []

    def words(self, *values: int) -> None:
        """Add whole numbers of 32 bits."""
        self._words += [int(value) for value in values]

    def long_word(self, value: int) -> None:
        """Add a whole number of 64 bits, low word first."""
        for part in (value & 0xFFFFFFFF, value >> 32):
            self._words.append(part - (1 << 32) if part >= 1 << 31 else part)

    def array(self, name: str, values: Ints, kind: str) -> None:
        """Add an array of the little-endian `kind`.

        Raises:
            ExportError: a value does not fit.
        """
        limits = np.iinfo(kind)
        if values.size and (values.min() < limits.min or values.max() > limits.max):
            raise ExportError(
                f"{name} holds {values.min()}..{values.max()}, which is beyond {limits.dtype}; "
                "the model's scales cannot be written as integers"
            )
        self._arrays.append(
            np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).tobytes()
        )

    def render(self) -> bytes:
        """The bytes of the section."""
        head = [MAGIC, len(self._words) + 2, *self._words]
        out = bytearray(np.array(head, "<i4").tobytes())
        for array in self._arrays:
            out += bytes(-len(out) % ALIGN) + array
        return bytes(out)


def write_section(program: IntegerProgram) -> bytes:
    """The section of a program; equal programs give equal bytes.

    Raises:
        ExportError: a number does not fit its type.
    """
    section = Section()
    section.words(
        MODEL_FORMAT, program.input_dim, program.output_dim, program.output_fraction,
        len(program.layers),
    )  # fmt: skip
    for name, layer in program.layers:
        _layer(section, name, layer)
    return section.render()


def _layer(s: Section, name: str, layer: object) -> None:
    if isinstance(layer, LogMelLayer):
        _logmel(s, name, layer)
    elif isinstance(layer, ByteTable):
        s.words(BYTES, layer.table.shape[1])
        s.array(name, layer.table, "int8")
    elif isinstance(layer, GruLayer | LstmLayer):
        if isinstance(layer, GruLayer):
            s.words(GRU, layer.hidden)
        else:
            s.words(LSTM, layer.hidden, layer.cell_bits)
        _dense(s, f"{name}.from_x", layer.from_x)
        _dense(s, f"{name}.from_h", layer.from_h)
    elif isinstance(layer, TransformerLayer):
        _transformer(s, name, layer)
    elif isinstance(layer, HeadLayer):
        s.words(HEAD)
        _dense(s, name, layer.dense)
    else:
        raise ExportError(f"layer {name!r} is a {type(layer).__name__}, which no section can hold")


def _dense(s: Section, name: str, dense: Dense) -> None:
    weight = np.pad(dense.weight, ((0, 0), (0, -dense.weight.shape[1] % STRIDE_ALIGN)))
    s.words(len(dense.bias), dense.weight.shape[1], weight.shape[1], dense.shift)
    s.array(f"{name}.weight", weight, "int8")
    s.array(f"{name}.bias", dense.bias, "int32")
    s.array(f"{name}.multiplier", dense.multiplier, "int32")


def _norm(s: Section, name: str, norm: Norm) -> None:
    s.words(len(norm.gain), norm.shift)
    s.long_word(norm.eps)
    s.array(f"{name}.gain", norm.gain, "int16")
    s.array(f"{name}.bias", norm.bias, "int32")


def _logmel(s: Section, name: str, layer: LogMelLayer) -> None:
    counts = np.array([len(weights) for weights in layer.filters])
    bins = int((layer.first + counts).max())
    s.words(LOGMEL, layer.window, layer.hop, len(layer.first), bins, layer.shift)
    s.long_word(layer.floor)
    s.array(f"{name}.hann", layer.hann, "int16")
    s.array(f"{name}.twiddles", layer.twiddles, "int32")
    s.array(f"{name}.first", layer.first, "uint16")
    s.array(f"{name}.count", counts, "uint16")
    s.array(f"{name}.filters", np.concatenate(layer.filters), "uint16")
    s.array(f"{name}.center", layer.center, "int32")
    s.array(f"{name}.multiplier", layer.multiplier, "int32")


def _transformer(s: Section, name: str, layer: TransformerLayer) -> None:
    wide = len(layer.blocks[0].feed_in.bias)
    s.words(
        TRANSFORMER, len(layer.enter.bias), layer.heads, layer.head_dim, layer.window, wide,
        len(layer.blocks),
    )  # fmt: skip
    _dense(s, f"{name}.enter", layer.enter)
    for n, block in enumerate(layer.blocks):
        _block(s, f"{name}.{n}", block)
    _norm(s, f"{name}.norm", layer.norm)


def _block(s: Section, name: str, block: BlockLayer) -> None:
    attention, conv = block.attention, block.conv
    _norm(s, f"{name}.norm_attention", block.norm_attention)
    if conv is None:
        s.words(0)
    else:
        width, dim = conv.weight.shape
        s.words(width, dim, conv.shift)
        s.array(f"{name}.conv.weight", conv.weight, "int8")
        s.array(f"{name}.conv.bias", conv.bias, "int32")
        s.array(f"{name}.conv.multiplier", conv.multiplier, "int32")
    _dense(s, f"{name}.qkv", block.qkv)
    s.words(attention.score_shift, attention.mix_shift)
    s.array(f"{name}.score", attention.score_multiplier, "int32")
    s.array(f"{name}.mix", attention.mix_multiplier, "int32")
    s.array(f"{name}.distance", attention.distance_bias, "int16")
    _dense(s, f"{name}.out", block.out)
    _norm(s, f"{name}.norm_feed", block.norm_feed)
    _dense(s, f"{name}.feed_in", block.feed_in)
    _dense(s, f"{name}.feed_out", block.feed_out)
