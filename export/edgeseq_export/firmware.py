"""Writes an integer program as C data for the engine in `firmware_sim/`.

    model_data.c, model_data.h   const weights and the sizes that the caller's buffers need
    golden.h                     a short input with every output, to prove a build on the device
    manifest.json                what the model says about itself, as in an .esq file
    README.md                    flash, arena, state and multiply-accumulates

The same checkpoint and calibration give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeseq import __version__
from edgeseq.boards.folder import MANIFEST
from edgeseq.errors import ExportError
from edgeseq.spec import StateSpec
from edgeseq.training.checkpoint import Checkpoint

from .c_source import Source, array, generated, initializer
from .integer import IntegerProgram, build_program, calibration_input
from .integer.dense import ByteTable, Dense, HeadLayer
from .integer.fixed import ALIGN, EXP2, LOG2, SIGMOID, Ints, aligned
from .integer.logmel import LogMelLayer
from .integer.rnn import GruLayer, LstmLayer
from .integer.transformer import BlockLayer, Conv, Norm, TransformerLayer
from .native import native_manifest
from .package import golden_input

__all__ = ["Firmware", "arena_bytes", "export_firmware", "pack_state", "tables_source"]

ENGINE_BYTES = 64
MAKER = "edgeseq_export.firmware"


@dataclass(frozen=True, slots=True)
class Firmware:
    """What was written: bytes of const data, of the arena, of the state in it."""

    program: IntegerProgram
    flash_bytes: int
    arena_bytes: int
    state_bytes: int


def pack_state(spec: StateSpec, state: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """One stream's state as `es_save` writes it: each tensor filled up to 8 bytes."""
    parts = []
    for tensor in spec:
        little = np.dtype(tensor.dtype).newbyteorder("<")
        data = state[tensor.name][0].astype(little).tobytes()
        parts.append(data + bytes(-len(data) % ALIGN))
    return b"".join(parts)


def _state_bytes(program: IntegerProgram) -> int:
    return sum(aligned(t.nbytes(1)) for t in program.state_spec)


def _need(layer: object) -> tuple[int, int]:
    """Width of the vector that a layer gives, and its scratch bytes; as the C planner counts."""
    if isinstance(layer, LogMelLayer):
        bins = _bins(layer)
        return len(layer.first), 6 * layer.window + 8 * bins
    if isinstance(layer, ByteTable):
        return layer.table.shape[1], 0
    if isinstance(layer, GruLayer | LstmLayer):
        gates = len(layer.from_h.bias)
        return layer.hidden, 2 * aligned(2 * gates) + aligned(layer.hidden)
    if isinstance(layer, TransformerLayer):
        dim, inner = len(layer.enter.bias), layer.heads * layer.head_dim
        wide = len(layer.blocks[0].feed_in.bias)
        sizes = [2 * dim, dim, dim, 3 * inner, inner, wide]
        sizes += [4 * (layer.window + 1), 2 * (layer.window + 2), 4 * layer.head_dim]
        return dim, sum(aligned(size) for size in sizes)
    return 0, 0


def arena_bytes(program: IntegerProgram) -> int:
    """What `es_arena_size` gives; a test holds both equal."""
    needs = [_need(layer) for _, layer in program.layers]
    widest = max(width for width, _ in needs)
    vectors = 2 * aligned(widest)
    return ENGINE_BYTES + _state_bytes(program) + vectors + max(scratch for _, scratch in needs)


def _bins(layer: LogMelLayer) -> int:
    return max(int(s) + len(w) for s, w in zip(layer.first, layer.filters, strict=True))


def _padded(weight: Ints) -> Ints:
    return np.pad(weight, ((0, 0), (0, -weight.shape[1] % ALIGN)))


def _dense(source: Source, name: str, dense: Dense) -> str:
    weight = _padded(dense.weight)
    return initializer(
        len(dense.bias), dense.weight.shape[1], weight.shape[1], dense.shift,
        source.add(f"{name}_weight", weight, "int8_t"),
        source.add(f"{name}_bias", dense.bias, "int32_t"),
        source.add(f"{name}_multiplier", dense.multiplier, "int32_t"),
        "NULL",
    )  # fmt: skip


def _norm(source: Source, name: str, norm: Norm) -> str:
    return initializer(
        len(norm.gain), norm.shift, f"INT64_C({norm.eps})",
        source.add(f"{name}_gain", norm.gain, "int16_t"),
        source.add(f"{name}_bias", norm.bias, "int32_t"),
    )  # fmt: skip


def _conv(source: Source, name: str, conv: Conv | None) -> str:
    if conv is None:
        return "{0, 0, 0, NULL, NULL, NULL}"
    return initializer(
        *conv.weight.shape, conv.shift,
        source.add(f"{name}_weight", conv.weight, "int8_t"),
        source.add(f"{name}_bias", conv.bias, "int32_t"),
        source.add(f"{name}_multiplier", conv.multiplier, "int32_t"),
    )  # fmt: skip


def _block(source: Source, name: str, block: BlockLayer) -> str:
    attention = block.attention
    return initializer(
        _norm(source, f"{name}_norm_attention", block.norm_attention),
        _conv(source, f"{name}_conv", block.conv),
        _dense(source, f"{name}_qkv", block.qkv),
        attention.score_shift,
        attention.mix_shift,
        source.add(f"{name}_score", attention.score_multiplier, "int32_t"),
        source.add(f"{name}_mix", attention.mix_multiplier, "int32_t"),
        source.add(f"{name}_distance", attention.distance_bias, "int16_t"),
        _dense(source, f"{name}_out", block.out),
        _norm(source, f"{name}_norm_feed", block.norm_feed),
        _dense(source, f"{name}_feed_in", block.feed_in),
        _dense(source, f"{name}_feed_out", block.feed_out),
    )


def _layer(source: Source, name: str, layer: object) -> tuple[str, str, str]:
    """Kind, C type and initializer of a layer; its arrays go to `source`."""
    if isinstance(layer, LogMelLayer):
        counts = np.array([len(w) for w in layer.filters])
        return "LOGMEL", "es_logmel", initializer(
            layer.window, layer.hop, len(layer.first), _bins(layer), layer.shift,
            f"INT64_C({layer.floor})",
            source.add(f"{name}_hann", layer.hann, "int16_t"),
            source.add(f"{name}_twiddles", layer.twiddles, "int32_t"),
            source.add(f"{name}_first", layer.first, "uint16_t"),
            source.add(f"{name}_count", counts, "uint16_t"),
            source.add(f"{name}_filters", np.concatenate(layer.filters), "uint16_t"),
            source.add(f"{name}_center", layer.center, "int32_t"),
            source.add(f"{name}_multiplier", layer.multiplier, "int32_t"),
        )  # fmt: skip
    if isinstance(layer, ByteTable):
        table = source.add(f"{name}_table", layer.table, "int8_t")
        return "BYTES", "es_bytes", initializer(layer.table.shape[1], table)
    if isinstance(layer, GruLayer | LstmLayer):
        products = [
            _dense(source, f"{name}_from_x", layer.from_x),
            _dense(source, f"{name}_from_h", layer.from_h),
        ]
        if isinstance(layer, GruLayer):
            return "GRU", "es_gru", initializer(layer.hidden, *products)
        return "LSTM", "es_lstm", initializer(layer.hidden, layer.cell_bits, *products)
    if isinstance(layer, TransformerLayer):
        blocks = [_block(source, f"{name}_{n}", b) for n, b in enumerate(layer.blocks)]
        source.text(f"static const es_block {name}_blocks[] = {{{', '.join(blocks)}}};")
        return "TRANSFORMER", "es_transformer", initializer(
            len(layer.enter.bias), layer.heads, layer.head_dim, layer.window,
            len(layer.blocks[0].feed_in.bias), len(layer.blocks),
            _dense(source, f"{name}_enter", layer.enter),
            f"{name}_blocks",
            _norm(source, f"{name}_norm", layer.norm),
        )  # fmt: skip
    assert isinstance(layer, HeadLayer)
    return "HEAD", "es_dense", _dense(source, name, layer.dense)


def _model_source(program: IntegerProgram, origin: str) -> Source:
    source = Source(generated(MAKER, origin) + '#include <stddef.h>\n\n#include "model_data.h"\n')
    rows = []
    for dotted, layer in program.layers:
        name = dotted.replace(".", "_")
        kind, c_type, value = _layer(source, name, layer)
        source.text(f"static const {c_type} {name} = {value};")
        rows.append(f"{{ES_LAYER_{kind}, &{name}}}")
    source.text(f"static const es_layer layers[] = {{{', '.join(rows)}}};")
    source.text(
        "const es_model edgeseq_model = {ES_MODEL_FORMAT, EDGESEQ_INPUT_DIM, EDGESEQ_OUTPUT_DIM,\n"
        f"    EDGESEQ_OUTPUT_FRACTION, {len(rows)}, layers}};"
    )
    return source


def _header(program: IntegerProgram, origin: str, labels: Sequence[str]) -> str:
    timing = program.timing
    values = {
        "INPUT_DIM": program.input_dim,
        "OUTPUT_DIM": program.output_dim,
        "OUTPUT_FRACTION": program.output_fraction,
        "TAKES_BYTES": int(program.bytes_input),
        "SAMPLE_RATE": timing.sample_rate or 0,
        "ARENA_BYTES": arena_bytes(program),
        "STATE_BYTES": _state_bytes(program),
    }
    lines = [f"#define EDGESEQ_{name} {value}" for name, value in values.items()]
    if labels:
        names = ", ".join(f'"{label}"' for label in labels)
        lines += ["/* Names of the logits, in order. */", f"#define EDGESEQ_LABELS {{{names}}}"]
    body = "\n".join(lines)
    return (
        f"{generated(MAKER, origin)}#ifndef EDGESEQ_MODEL_DATA_H\n#define EDGESEQ_MODEL_DATA_H\n\n"
        f'#include "edgeseq.h"\n\n{body}\n\nextern const es_model edgeseq_model;\n\n#endif\n'
    )


def golden_steps(program: IntegerProgram) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """A short input `[steps, input_dim]` and its logits `[steps, output_dim]`."""
    x = golden_input(program.bytes_input, program.input_dim, 1)[:, :, 0]
    frames = program.quantize_input(x).reshape(1, len(x), program.input_dim)
    y, _ = program.step(frames, program.state_spec.zeros(1))
    return frames[0], y[0]


def _golden(program: IntegerProgram, origin: str) -> str:
    x, y = golden_steps(program)
    return (
        f"{generated(MAKER, origin)}#ifndef EDGESEQ_GOLDEN_H\n#define EDGESEQ_GOLDEN_H\n\n"
        "#include <stdint.h>\n\n"
        "/* From a fresh engine, these inputs give exactly these logits. */\n"
        f"#define EDGESEQ_GOLDEN_STEPS {len(x)}\n"
        f"{array('edgeseq_golden_input', x.astype(np.int64), 'int16_t')}\n"
        f"{array('edgeseq_golden_logits', y.astype(np.int64), 'int16_t')}\n\n#endif\n"
    )


def _readme(result: Firmware, name: str, origin: str) -> str:
    program = result.program
    return f"""# {name} for firmware

Generated by {MAKER} {__version__} from {origin}.

| | |
|---|---|
| const data (flash) | {result.flash_bytes:,} bytes |
| arena (RAM) | {result.arena_bytes:,} bytes |
| of which state | {result.state_bytes:,} bytes |
| multiply-accumulates a step | {program.macs_per_frame:,} |
| input of a step | {program.input_dim} {"byte" if program.bytes_input else "samples, int16"} |
| output of a step | {program.output_dim} logits, int16, value / 2^{program.output_fraction} |

Compile `model_data.c` with `firmware_sim/src/*.c` of edgeseq (include `firmware_sim/include`). The
engine's own code is not in these figures. `golden.h` holds an input with its logits: a build that
gives others is wrong.
"""


def export_firmware(
    checkpoint: Checkpoint, folder: Path, calibration: Sequence[Path] = ()
) -> Firmware:
    """Write the C data of a checkpoint into `folder`, which is made.

    Args:
        checkpoint: what to export.
        folder: where the files go. There is no manifest.json of a bare network, whose facts name
            no task.
        calibration: recordings (or texts) to choose scales on; the bundled clip without any.

    Raises:
        ExportError: a layer has no integer definition, or a size is beyond what it allows.
    """
    model, labels = checkpoint.model, checkpoint.facts["labels"]
    if labels and len(labels) != model.output_dim:
        raise ExportError(
            f"the checkpoint names {len(labels)} labels for {model.output_dim} outputs; train again"
        )
    program = build_program(model, calibration_input(model, calibration))
    digest = hashlib.sha256()
    for key, value in model.state_dict().items():
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    name = checkpoint.facts["name"]
    origin = f"{name} weights sha256:{digest.hexdigest()[:16]}"
    source = _model_source(program, origin)
    result = Firmware(program, source.data_bytes, arena_bytes(program), _state_bytes(program))
    files = {
        "model_data.c": source.render(),
        "model_data.h": _header(program, origin, labels),
        "golden.h": _golden(program, origin),
        "README.md": _readme(result, name, origin),
    }
    if "task" in checkpoint.facts:
        files[MANIFEST] = native_manifest(checkpoint, program, source.data_bytes).to_json() + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return result


def tables_source() -> str:
    """`firmware_sim/src/tables.c`: the function tables of `edgeseq_export.integer.fixed`."""
    source = Source(generated(MAKER, "edgeseq_export.integer.fixed") + '#include "es_fixed.h"\n')
    for name, values, c_type in (
        ("sigmoid", SIGMOID, "int16_t"), ("exp2", EXP2, "int16_t"), ("log2", LOG2, "uint16_t"),
    ):  # fmt: skip
        source.text(array(f"es_{name}_table", values, c_type, static=False))
    return source.render()
