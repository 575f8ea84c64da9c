"""What strangers' bytes go through, and how such bytes are made from good ones.

A target may end in an EdgeseqError of one line; anything else is a finding.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import random
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile

from edgeseq import Stream
from edgeseq.decode.sampling import Sampler
from edgeseq.errors import EdgeseqError
from edgeseq.generator import Generator
from edgeseq.manifest import Manifest
from edgeseq.prefix import PrefixCache
from edgeseq.runtime import Session, esq_file, read_manifest
from edgeseq.sources import WavSource
from edgeseq.sources.bytestream import ByteStream
from edgeseq.sources.opening import _choose
from edgeseq.sources.simulated import Script
from edgeseq.state_file import read_state, write_state
from edgeseq.training.config import Recipe
from tests import graphs
from tests.runtime.native_files import native_file
from tests.sources.wavbytes import GUID_TAIL, chunk, fmt, speech, wav

__all__ = ["TARGETS", "Target", "mutate", "mutate_esq", "mutate_json", "mutate_onnx"]

ROOT = Path(__file__).parents[2]

ODD_INTEGERS = (0, 1, -1, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**30)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, "", "\ud800", "\0", "B", "../../x", 1e308, -0.0, 1e-320, 0.5, [], {}, [[]],
    *ODD_INTEGERS,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader and good inputs to begin with."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[random.Random, bytes], bytes]


def one_line(run: Callable[[bytes], object], data: bytes) -> None:
    """Run a target; its errors must be ours and of one line, and stdout is for results only."""
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            run(data)
    except EdgeseqError as error:
        if "\n" in str(error):
            raise AssertionError(f"more than one line: {error}") from error
    if printed.getvalue():
        raise AssertionError(f"printed: {printed.getvalue()}")


def mutate(draw: random.Random, data: bytes) -> bytes:
    """Some bytes changed, doubled, moved or cut."""
    work = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        size = len(work)
        at, length = draw.randint(0, size), draw.choice((1, 2, 4, 8, 64))
        match draw.randrange(7):
            case 0 if size:
                work[at % size] ^= 1 << draw.randrange(8)
            case 1 if size:
                work[at % size] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                work[at : at + length] = b""
            case 3:
                work[at:at] = work[(other := draw.randint(0, size)) : other + length]
            case 4:
                work[at:at] = draw.randbytes(length)
            case 5:
                number = draw.choice(ODD_INTEGERS[:11]) & 0xFFFFFFFF
                work[at : at + 4] = number.to_bytes(4, draw.choice(("little", "big")))
            case 6:
                del work[at:]
    return bytes(work)


def mutate_json(draw: random.Random, data: bytes) -> bytes:
    """One or a few values of a document replaced, dropped or added; now and then plain bytes."""
    if draw.random() < 0.3:
        return mutate(draw, data)
    document = json.loads(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        pending: list[Any] = [document]
        while pending:
            node = pending.pop()
            inner = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in inner:
                places.append((node, key))
                if isinstance(value, dict | list):
                    pending.append(value)
        if not places:
            break
        node, key = draw.choice(places)
        match draw.randrange(6):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[draw.choice(("extra", key + "_", ""))] = node[key]
            case 2:
                node[key] = copy.deepcopy(draw.choice(places)[0])
                if node[key] is node:
                    del node[key]
            case _:
                # A copy: a list put into itself would be no document.
                node[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    return json.dumps(document).encode()


def mutate_onnx(draw: random.Random, data: bytes) -> bytes:
    """The graph changed in its structure: nodes, shapes, types, names, weights, attributes."""
    if draw.random() < 0.3:
        return mutate(draw, data)
    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(draw.choice((1, 1, 2, 4))):
        node, tensor = draw.choice(graph.node), draw.choice(graph.initializer)
        value = draw.choice([*graph.input, *graph.output])
        match draw.randrange(12):
            case 0:
                graph.node.remove(node)
                if not graph.node:
                    graph.node.append(node)
            case 1:
                node.op_type = draw.choice(
                    ("Loop", "If", "Scan", "ConstantOfShape", "Expand", "MatMul", "Reshape",
                     "Gather", "Tile", "Pad", "Resize", "GRU", "Cast", "DynamicQuantizeLinear")
                )  # fmt: skip
            case 2 if node.input:
                node.input[draw.randrange(len(node.input))] = draw.choice(
                    [*(n.output[0] for n in graph.node if n.output), "x", ""]
                )
            case 3:
                tensor.raw_data = mutate(draw, tensor.raw_data)
            case 4 if tensor.dims:
                tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(
                    (0, 1, -1, 2**31, 2**62)
                )
            case 5:
                tensor.data_type = draw.randrange(-1, 24)
            case 6:
                tensor.data_location = onnx.TensorProto.EXTERNAL
                onnx.external_data_helper.set_external_data(
                    tensor, draw.choice(("/etc/passwd", "../x"))
                )
            case 7:
                axes = value.type.tensor_type.shape.dim
                if axes:
                    draw.choice(axes).dim_value = draw.choice((0, -1, 3, 2**40))
            case 8:
                value.type.tensor_type.elem_type = draw.randrange(0, 24)
            case 9:
                node.attribute.append(
                    onnx.helper.make_attribute(
                        draw.choice(("axis", "perm", "to", "num_outputs", "value")),
                        draw.choice((-1, 2**62, [1, 0], 0.5, "x", graph.initializer[0])),
                    )
                )
            case 10:
                graph.node.append(copy.deepcopy(node))
            case 11:
                model.opset_import[0].version = draw.choice((0, 1, 6, 11, 17, 10**6))
    return model.SerializeToString()


def mutate_esq(draw: random.Random, data: bytes) -> bytes:
    """Numbers and bytes of manifest or program changed, with a checksum that is right again."""
    if draw.random() < 0.2:
        return mutate(draw, data)
    text, section = esq_file.unpack(memoryview(data), "m.esq")
    if draw.random() < 0.2:
        text = mutate_json(draw, text.encode()).decode("utf-8", "replace")
    program = bytearray(section)
    words = int.from_bytes(program[4:8], "little")
    for _ in range(draw.choice((1, 1, 2, 4))):
        match draw.randrange(6):
            case 0:
                program = bytearray(mutate(draw, bytes(program)))
            case 1:
                at = draw.randrange(max(1, len(program)))
                program[at : at + 4] = draw.choice(ODD_INTEGERS[:11]).to_bytes(
                    5, "little", signed=True
                )[:4]
            case _:
                at = 4 * draw.randrange(max(1, words))
                old = int.from_bytes(program[at : at + 4], "little", signed=True)
                new = draw.choice((old + 1, old - 1, 2 * old, 8 * old, *ODD_INTEGERS[:11]))
                program[at : at + 4] = (new & 0xFFFFFFFF).to_bytes(4, "little")
    return esq_file.pack(text, bytes(program))


def _file(name: str, data: bytes, use: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return use(path)


def run_manifest(data: bytes) -> None:
    """A document is read, and what it says is used as a stream would."""
    manifest = Manifest.from_json(data.decode("utf-8", "replace"), "m.onnx")
    assert manifest.digest
    assert Manifest.from_json(manifest.to_json(), "m.onnx") == manifest
    manifest.state_spec.zeros()


def run_wav(data: bytes) -> None:
    """A WAV pipe is read to its end."""
    source = WavSource(io.BytesIO(data), name="a.wav")
    total = sum(len(block.samples) for block in source.blocks())
    assert total <= len(data)


def run_audio(data: bytes) -> None:
    """Any bytes, as --wav takes them."""
    stream = ByteStream(io.BytesIO(data), "a")
    source = _choose(stream, False, False, "mix", None, None, None)
    for block in source.blocks():
        assert block.samples.dtype == np.float32
    source.close()


def run_step(data: bytes) -> None:
    """A model file is loaded and makes a few steps; run where a crash can be seen."""

    def use(path: Path) -> None:
        stream = Stream(Session(path))
        stream.push(np.linspace(-1, 1, 2000, dtype=np.float32))
        stream.flush()

    _file("m.onnx", data, use)


def run_native(data: bytes) -> None:
    """A model file is loaded into the engine and makes a few steps, where a crash can be seen."""

    def use(path: Path) -> None:
        session = Session(path)
        stream = Stream(session)
        if session.manifest.input == "bytes":
            stream.push(bytes(range(60)))
        else:
            stream.push(np.linspace(-1, 1, 9600, dtype=np.float32))
        stream.flush()

    _file("m.esq", data, use)


@functools.cache
def _writer() -> Session:
    with tempfile.TemporaryDirectory() as folder:
        return Session(graphs.byte_model(Path(folder) / "b.onnx", hidden=4))


def run_state(data: bytes) -> None:
    """A saved state of either kind is read, and gone on with."""
    kind = "prefixes" if b'"prefixes"' in data else "text"
    values = _file("s", data, lambda path: read_state(path, _writer().digest, kind))
    generator = Generator(_writer(), Sampler())
    if kind == "text":
        generator.restore(values)
    else:
        cache = PrefixCache()
        cache.restore(values)
        cache.read(generator, b"a" * 300)
    generator.read(b"b")
    generator.write()


def _states() -> list[bytes]:
    session, cache = _writer(), PrefixCache()
    generator = Generator(session, Sampler())
    cache.read(generator, b"a" * 300)
    generator.read("ä".encode()[:1])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        for kind, values in (("text", generator.state), ("prefixes", cache.state)):
            write_state(path, session.digest, kind, values)
            found.append(path.read_bytes())
    return found


def _native_models() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        names = ("gru-odd", "lstm", "transformer", "gru-bytes", "transformer-bytes")
        return [native_file(Path(folder), name).read_bytes() for name in names]


def _coded() -> list[bytes]:
    files = []
    for container, subtype in (("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)):
        file = io.BytesIO()
        soundfile.write(file, speech(8000) / 2**15, 16000, subtype, format=container)
        files.append(file.getvalue())
    return files


def _wavs() -> list[bytes]:
    audio = speech(300).tobytes()
    return [
        wav(audio),
        wav(audio, fmt(bits=24), before=chunk(b"LIST", b"odd")),
        wav(audio, fmt(tag=3, bits=32), size=0xFFFFFFFF),
        wav(audio, fmt(channels=6, guid_tail=GUID_TAIL)),
        wav(audio, fmt(tag=7, bits=8, rate=8000)),
        b"RF64" + wav(audio, before=chunk(b"ds64", bytes(28)), size=0xFFFFFFFF)[4:],
    ]


def _models() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        makers = (graphs.tone_model, graphs.level_model, lambda p: graphs.gru_model(p, hidden=4))
        return [make(path).read_bytes() for make in makers]


def _manifests() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        makers = (graphs.tone_model, graphs.level_model, graphs.byte_model)
        return [read_manifest(make(path)).to_json().encode() for make in makers]


def run_recipe(data: bytes) -> None:
    """The values of a recipe, as JSON because nothing here writes TOML."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    Recipe.from_dict(values, ROOT / "recipes")


def _recipes() -> list[bytes]:
    """Whole recipes: laid over those that they extend."""
    found = []
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        values = tomllib.loads(path.read_text())
        if "extends" not in values:
            continue
        while "extends" in values:
            base = tomllib.loads((path.parent / values.pop("extends")).read_text())
            values["model"] = {**base.pop("model", {}), **values.get("model", {})}
            values = {**base, **values}
        if "encoder" in values["model"]:
            found.append(json.dumps(values).encode())
    return found


TOML = b"""name = "b"\ntask = "bytes"\nlicence = "x"\n[model.frontend]\nkind = "bytes"\ndim = 8
[model.encoder]\nkind = "gru"\nhidden = 8\n[train]\nsteps = 3\nlearning_rate = 2e-3
[[data]]\npath = "text"\nreader = "text"\nrole = "text"\n"""


SCRIPT = b"""name = "Mic"\nrate = 16000\nchannels = 1\ntakes = []\nsignal = "both"
drift_ppm = 0\nseconds = 12\nfaults = [{kind = "overflow", at = 2, seconds = 1.5}]\n"""

TARGETS = {
    "manifest": Target(run_manifest, _manifests, mutate_json),
    "wav": Target(run_wav, _wavs, mutate),
    "audio": Target(run_audio, _wavs, mutate),
    "onnx": Target(lambda data: _file("m.onnx", data, read_manifest), _models, mutate_onnx),
    "recipe": Target(run_recipe, _recipes, mutate_json),
    "toml": Target(lambda data: _file("r.toml", data, Recipe.load), lambda: [TOML], mutate),
    "script": Target(lambda data: _file("s.toml", data, Script.read), lambda: [SCRIPT], mutate),
    "state": Target(run_state, _states, mutate_json),
    "coded": Target(run_audio, _coded, mutate),
    "step": Target(run_step, _models, mutate_onnx),
    "native": Target(run_native, _native_models, mutate_esq),
}
