"""Files from strangers: no crash, no hang, no memory without bound, no way out of the folder."""

from __future__ import annotations

import copy
import io
import itertools
import json
import pickle
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq.errors import AudioError, ConfigError, ManifestError
from edgeseq.manifest import Manifest
from edgeseq.runtime import Session, model_file, onnx_file, read_manifest
from edgeseq.sources import WavSource
from edgeseq.sources.bytestream import ByteStream
from edgeseq.sources.pcm import MOST_BLOCK_BYTES, block_bytes
from edgeseq.training.checkpoint import load_checkpoint
from edgeseq.training.config import Recipe
from tests import graphs
from tests.hostile.targets import ROOT, TARGETS, one_line
from tests.runtime.native_files import need_engine
from tests.sources.wavbytes import chunk, fmt, wav

HERE = [name for name in TARGETS if name not in ("step", "coded", "native")]


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[bytes]]:
    return {name: TARGETS[name].seeds() for name in HERE}


@pytest.mark.parametrize("name", HERE)
@settings(max_examples=150, deadline=None)
@given(number=st.integers(0, 2**32))
def test_damaged_input_ends_in_one_line_or_in_nothing(
    seeds: dict[str, list[bytes]], name: str, number: int
) -> None:
    """The cases of benchmarks/fuzz.py, which runs them for as long as one likes."""
    draw, target = random.Random(number), TARGETS[name]
    one_line(target.run, target.mutate(draw, draw.choice(seeds[name])))


@pytest.mark.parametrize("name", HERE)
def test_undamaged_input_is_read(seeds: dict[str, list[bytes]], name: str) -> None:
    """Else the test above would prove nothing."""
    for seed in seeds[name]:
        TARGETS[name].run(seed)


@pytest.mark.parametrize(("name", "cases"), [("step", 150), ("coded", 150), ("native", 600)])
def test_native_code_survives_damaged_input(name: str, cases: int) -> None:
    """Models through onnxruntime and the engine, compressed audio through libsndfile, each in a
    process.
    """
    if name == "native":
        need_engine()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", name, "--cases", str(cases)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"{name}: {cases} cases, 0 findings" in done.stdout


# --- models --------------------------------------------------------------------------------------


def outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """The tensor with its values in another file."""
    tensor = copy.deepcopy(tensor)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(outside(model.graph.initializer[0]))


def in_constant(model: onnx.ModelProto) -> None:
    value = outside(model.graph.initializer[0])
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["k"], value=value))


def in_list(model: onnx.ModelProto) -> None:
    attribute = onnx.AttributeProto(name="all", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(outside(model.graph.initializer[0]))
    model.graph.node[0].attribute.append(attribute)


def in_sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(outside(model.graph.initializer[0]))


def in_sparse_attribute(model: onnx.ModelProto) -> None:
    attribute = onnx.AttributeProto(name="s", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.indices.CopyFrom(outside(model.graph.initializer[0]))
    model.graph.node[0].attribute.append(attribute)


EXTERNAL = [in_initializer, in_constant, in_list, in_sparse, in_sparse_attribute]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = graphs.tone_model(tmp_path_factory.mktemp("m") / "m.onnx")
    return path.read_bytes()


def refused(folder: Path, data: bytes, words: str) -> None:
    path = folder / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ManifestError) as error:
        read_manifest(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", EXTERNAL)
def test_external_data_is_refused_wherever_it_hides(
    good: bytes, tmp_path: Path, place: Callable[[onnx.ModelProto], None]
) -> None:
    model = onnx.load_from_string(good)
    place(model)
    refused(tmp_path, model.SerializeToString(), "ONNX external data")


def test_external_data_in_a_second_graph_is_refused(good: bytes, tmp_path: Path) -> None:
    """Protobuf merges two values of one field: the weights of both graphs would be loaded."""
    part = onnx.ModelProto()
    part.graph.initializer.append(outside(onnx.load_from_string(good).graph.initializer[0]))
    merged = onnx.load_from_string(part.SerializeToString() + good)
    assert merged.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    for data in (part.SerializeToString() + good, good + part.SerializeToString()):
        refused(tmp_path, data, "ONNX external data")


def test_a_field_number_that_others_read_differently_is_refused(
    good: bytes, tmp_path: Path
) -> None:
    """Bits above 32 are dropped by protobuf: there it is the graph, here it would be unknown."""
    part = onnx.GraphProto()
    part.initializer.append(outside(onnx.load_from_string(good).graph.initializer[0]))
    body = part.SerializeToString()
    tag = (7 << 3 | 2) | 1 << 34
    varint = b""
    while tag:
        varint += bytes([tag & 0x7F | (0x80 if tag > 0x7F else 0)])
        tag >>= 7
    size = len(body)
    assert size < 128
    refused(tmp_path, good + varint + bytes([size]) + body, "is damaged (field number")


def test_loops_branches_and_functions_are_refused(good: bytes, tmp_path: Path) -> None:
    """A loop without end would be a step without end; functions of functions grow without bound."""
    model = onnx.load_from_string(good)
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["k"], body=body))
    refused(tmp_path, model.SerializeToString(), "holds loops or branches")
    model = onnx.load_from_string(good)
    model.functions.append(onnx.helper.make_function("d", "f", [], [], [], []))
    refused(tmp_path, model.SerializeToString(), "holds functions")


def test_a_file_that_is_too_large_is_not_read(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        # Sparse: it takes no room.
        file.truncate(model_file.MOST_BYTES + 1)
    began = monotonic()
    with pytest.raises(ManifestError, match="at most 536,870,912 are allowed"):
        read_manifest(path)
    assert monotonic() - began < 1
    path.write_bytes(good)
    monkeypatch.setattr(onnx_file, "MOST_MANIFEST_BYTES", 1000)
    with pytest.raises(ManifestError, match="at most 1,000 are allowed"):
        read_manifest(path)


def test_a_runtime_that_cannot_tell_its_error_prints_nothing(
    good: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name that is not UTF-8: onnxruntime printed "EP Error" to stdout and tried again."""
    model = onnx.load_from_string(good)
    model.graph.node[0].op_type = "Unknown"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString().replace(b"Unknown", b"Unknow\xfe"))
    with pytest.raises(ManifestError, match="cannot load it"):
        Session(path)
    assert capfd.readouterr() == ("", "")


# --- manifests -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(good: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("m") / "m.onnx"
    path.write_bytes(good)
    parsed: dict[str, Any] = json.loads(read_manifest(path).to_json())
    return parsed


def put(document: dict[str, Any], place: str, value: str) -> str:
    """The document as text, with JSON text `value` at `place`."""
    changed = copy.deepcopy(document)
    node: Any = changed
    *parents, key = place.split(".")
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    node[int(key) if key.isdigit() else key] = "HERE"
    return json.dumps(changed).replace('"HERE"', value)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("state.0.shape.0", str(10**18), "a stream would take"),
        ("state.0.shape", "[1000000, 1000000, 1000000]", "a stream would take"),
        ("state.0.fill", "1e300", "is no "),
        ("state.0.fill", "1" + "0" * 400, "finite number"),
        ("golden.tolerance", "1e999", "numbers must be finite"),
        ("provenance.config", '{"a": 1e999}', "numbers must be finite"),
        ("name", '"\\ud800"', "not valid JSON"),
        ("provenance.config", '{"\\udfff": 1}', "not valid JSON"),
        ("timing.sample_rate", str(10**12), "must lie in [1000, 768000]"),
        ("timing.lookahead", str(10**12), "a stream would take"),
        ("parameters", "9" * 5000, "not valid JSON"),
        ("labels", "[" * 5000 + "]" * 5000, "not valid JSON"),
        ("name", "9" * 4000, "must be a string"),
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused(
    document: dict[str, Any], place: str, value: str, words: str
) -> None:
    with pytest.raises(ManifestError) as error:
        Manifest.from_json(put(document, place, value), "m.onnx")
    assert words in str(error.value)
    assert len(str(error.value)) < 500


def test_many_keys_take_no_longer_than_few_for_each() -> None:
    """Was quadratic: 200,000 keys took minutes."""
    text = "{" + ",".join(f'"{i}": 0' for i in range(200_000)) + "}"
    began = monotonic()
    with pytest.raises(ManifestError):
        Manifest.from_json(text, "m.onnx")
    assert monotonic() - began < 5


# --- audio ---------------------------------------------------------------------------------------


def test_a_header_of_65535_channels_takes_a_megabyte_at_a_time() -> None:
    """0.1 s of them at 768 kHz would be 40 GB."""
    asked: list[int] = []

    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read1(size)

    header = fmt(channels=1, rate=768_000, bits=64, tag=3)
    header = header[:10] + struct.pack("<H", 65535) + header[12:20]
    header += struct.pack("<HH", 0, 64)
    source = WavSource(Pipe(wav(bytes(2**21), header, size=0xFFFFFFFF)))
    blocks = [block.samples for block in itertools.islice(source.blocks(), 10)]
    assert sum(map(len, blocks)) == 2**21 // (8 * 65535)
    assert max(asked) <= MOST_BLOCK_BYTES
    assert block_bytes(16000, 2) == 3200


def test_a_pipe_of_empty_chunks_comes_to_an_end() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data = itertools.islice(itertools.cycle(b"JUNK\0\0\0\0"), len(buffer))
            buffer[:] = bytes(data)
            return len(buffer)

    stream = ByteStream(io.BufferedReader(Endless(), 8192), "pipe")
    stream._head = b"RIFF\0\0\0\0WAVE"
    with pytest.raises(AudioError, match="no audio after 10,000 chunks"):
        WavSource(stream)


def test_a_gigabyte_of_other_chunk_is_skipped_in_pieces() -> None:
    """And a truncated one is told, without waiting for what never comes."""
    data = b"RIFF\0\0\0\0WAVE" + b"JUNK" + struct.pack("<I", 2**32 - 2) + bytes(1000)
    with pytest.raises(AudioError, match="ends inside the chunk 'JUNK' of 4294967294 bytes"):
        WavSource(io.BytesIO(data))
    assert len(chunk(b"JUNK", b"1")) == 10


# --- recipes and checkpoints ---------------------------------------------------------------------


def recipe(folder: Path, text: str, name: str = "r.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "base", ['"/etc/passwd"', '"../r.toml"', '"a/b.toml"', "3", '"."', '".."', '""']
)
def test_a_recipe_extends_only_its_neighbours(tmp_path: Path, base: str) -> None:
    path = recipe(tmp_path, f"extends = {base}\n")
    with pytest.raises(ConfigError, match=r"in the same folder|cannot be read as a recipe"):
        Recipe.load(path)


def test_recipes_that_extend_each_other_come_to_an_end(tmp_path: Path) -> None:
    recipe(tmp_path, 'extends = "b.toml"\n', "a.toml")
    recipe(tmp_path, 'extends = "a.toml"\n', "b.toml")
    with pytest.raises(ConfigError, match="in a circle"):
        Recipe.load(tmp_path / "a.toml")


MODEL = """model.frontend = {kind = "bytes"}
model.encoder = {kind = "gru", hidden = 8}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("labels = []", "labels = 3", "labels is 3"),
        ("", "data = 3\n", "data is 3"),
        ("", "data = [3]\n", "data is 3; it must be a table"),
        ("", 'train = "x"\n', "train is 'x'"),
        ("", "train = {steps = 1.5}\n", "train.steps is 1.5; it must be a whole number"),
        ("", "augment = {gain_db = 3}\n", "augment.gain_db is 3; it must be a pair of numbers"),
        ("", "augment = {noise_p = true}\n", "augment.noise_p is True"),
        ("", "decoding = 3\n", "decoding is 3"),
        ("", 'model = "x"\n', "model is 'x'"),
    ],
)
def test_a_value_of_another_kind_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = 'task = "bytes"\nlabels = []\n' + ("" if new.startswith("model") else MODEL)
    text = text.replace(old, new) if old else text + new
    with pytest.raises(ConfigError) as error:
        Recipe.load(recipe(tmp_path, text))
    assert words in str(error.value)


@pytest.mark.parametrize("where", ["model.encoder", "model", "train", "augment", "decoding", ""])
@pytest.mark.parametrize("name", ["co\nv", "a\rb", "\x1b[2J", "\u2028", "tab\tnew"])
def test_a_name_that_would_end_the_line_is_shown_as_an_escape(where: str, name: str) -> None:
    """Found by fuzzing: the key of a recipe stood in the message as it was."""
    values: dict[str, Any] = {
        "task": "bytes",
        "model": {"frontend": {"kind": "bytes"}, "encoder": {"kind": "gru", "hidden": 4}},
    }
    table = values
    for part in where.split(".") if where else []:
        table = table.setdefault(part, {})
    table[name] = 1
    with pytest.raises(ConfigError) as error:
        Recipe.from_dict(values, Path())
    assert str(error.value).isprintable()
    assert repr(name)[1:-1] in str(error.value)


@given(text=st.text(), kind=st.sampled_from([AudioError, ConfigError, ManifestError]))
def test_every_message_is_one_line(text: str, kind: type[Exception]) -> None:
    assert str(kind(text)).isprintable()
    if text.isprintable():
        assert str(kind(text)) == text


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    path, proof = tmp_path / "model.safetensors", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Trap(proof)))
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    assert not proof.exists()
