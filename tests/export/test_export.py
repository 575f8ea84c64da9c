"""Exported files keep the contract, are what the checkpoint was, and are really int8."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from edgeseq import Session
from edgeseq.errors import ExportError
from edgeseq.manifest import KEY
from edgeseq.models import (
    ByteEmbeddingConfig,
    GruConfig,
    HybridConfig,
    LinearRnnConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.models.frontend import mel_filters
from edgeseq.runtime.proof import verify_golden
from edgeseq.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edgeseq_export.graph import export_graph
from edgeseq_export.native import export_native
from edgeseq_export.package import export, run_steps
from edgeseq_export.quantize import count_ops, mel_products
from edgeseq_export.schemes import quantize
from edgeseq_export.verify import verify_file
from tests.contract import Backend, verify_stream_contract
from tests.runtime.native_files import need_engine

MODELS = {
    "gru": ModelConfig(LogMelConfig(), GruConfig(hidden=128, layers=2), 10),
    "lstm": ModelConfig(LogMelConfig(), LstmConfig(hidden=128, layers=2), 10),
    "transformer": ModelConfig(
        LogMelConfig(), TransformerConfig(dim=96, layers=2, window=16, conv=4), 10
    ),
    "latent": ModelConfig(
        LogMelConfig(),
        TransformerConfig(dim=96, layers=2, window=16, conv=4, latent=32, sinks=2),
        10,
    ),
    "linear": ModelConfig(LogMelConfig(), LinearRnnConfig(dim=128, layers=2, feed_forward=256), 10),
    "hybrid": ModelConfig(
        LogMelConfig(),
        HybridConfig(
            dim=128,
            layers=("linear", "attention"),
            heads=4,
            window=16,
            feed_forward=256,
            kv_heads=2,
            sinks=2,
            dilation=2,
        ),
        10,
    ),
    "linear-bytes": ModelConfig(
        ByteEmbeddingConfig(40), LinearRnnConfig(dim=64, layers=2, feed_forward=64), 256
    ),
    "gru-bytes": ModelConfig(ByteEmbeddingConfig(40), GruConfig(hidden=64, layers=2), 256),
}


UNKNOWN_TO_THE_ENGINE = ("linear", "linear-bytes", "hybrid", "latent")


def make_checkpoint(family: str) -> Checkpoint:
    """A checkpoint with random weights, larger than at the start of training."""
    config = MODELS[family]
    torch.manual_seed(11)
    model = config.build().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "table" not in name:
                parameter.mul_(1.5)
    text = family.endswith("bytes")
    labels = [] if text else ["_silence_", "_unknown_", *(f"word{n}" for n in range(8))]
    facts = {
        "name": family, "task": "bytes" if text else "keyword", "labels": labels, "decoding": {},
        "licence": "CC0-1.0", "edgeseq": "0.1.0", "steps": 0, "seed": 11,
        "data": [{"name": "none", "licence": "CC0-1.0", "attribution": "random weights"}],
    }  # fmt: skip
    return Checkpoint(model, config, facts)


@pytest.fixture(scope="module", params=MODELS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Path, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = make_checkpoint(request.param)
    for scheme in ("none", "int8"):
        export(checkpoint, folder / f"{scheme}.onnx", scheme)
    return checkpoint, folder / "none.onnx", folder / "int8.onnx"


def make_input(session: Session, batch: int, frames: int, seed: int) -> npt.NDArray[np.generic]:
    spec = session.manifest.inputs[0]
    rng = np.random.default_rng(seed)
    shape = (batch, frames, spec.bound(1)[2])
    if spec.dtype == "int64":
        return rng.integers(0, 256, shape)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("which", ["none.onnx", "int8.onnx", "native.esq"])
def test_exported_files_keep_the_contract(
    exported: tuple[Checkpoint, Path, Path], which: str
) -> None:
    """The same test for every backend; the integer program allows no difference at all."""
    path = exported[1].with_name(which)
    if which == "native.esq":
        need_engine()
        if exported[0].facts["name"] in UNKNOWN_TO_THE_ENGINE:
            with pytest.raises(ExportError, match="integer"):
                export_native(exported[0], path)
            assert not path.exists()
            return
        export_native(exported[0], path)
    session = Session(path)
    field = exported[0].model.receptive_field
    verify_stream_contract(
        Backend(session.step, session.manifest.timing.chunk, 1, field),
        session.manifest.state_spec,
        session.manifest.timing,
        lambda batch, frames, seed: make_input(session, batch, frames, seed),
        tolerance=0 if session.backend == "native" else 1e-6,
        frames=96,
        long_steps=300,
    )


def test_every_state_tensor_equals_torch(exported: tuple[Checkpoint, Path, Path]) -> None:
    checkpoint, float_file, int8_file = exported
    for path in (float_file, int8_file):
        assert verify_golden(Session(path)).good
        for proof in verify_file(path, checkpoint):
            window = checkpoint.model.timing.left_context or 0
            assert proof.steps >= 2 * window
            tensors = {d.tensor for d in proof.differences}
            assert tensors == {"y", *checkpoint.model.state_spec.names}
            assert proof.good, proof.sentence(path)


def test_int8_is_real_and_small(exported: tuple[Checkpoint, Path, Path]) -> None:
    """F46, F53: nothing trained stays in float, which the file size shows."""
    checkpoint, float_file, int8_file = exported
    ops = count_ops(onnx.load(int8_file))
    mel = 0 if "bytes" in checkpoint.facts["name"] else 1
    assert ops.float_weights == mel
    assert ops.integer == count_ops(onnx.load(float_file)).float_weights - mel
    if checkpoint.facts["name"] in ("gru", "lstm", "linear", "hybrid"):
        assert int8_file.stat().st_size <= 0.30 * float_file.stat().st_size


def test_stored_mel_filters_are_close_and_made_of_constants(
    exported: tuple[Checkpoint, Path, Path],
) -> None:
    """Each weight within 2^-11 of itself; what stores them is folded when the file is loaded."""
    checkpoint, *files = exported
    front = checkpoint.config.frontend
    if not isinstance(front, LogMelConfig):
        return
    wanted = mel_filters(front)
    for path in files:
        graph = onnx.load(path)
        (product,) = mel_products(graph)
        stored = folded(graph, product.input[1])
        assert (np.abs(stored - wanted) <= 2.0**-11 * wanted + 1e-7).all()


def folded(graph: onnx.ModelProto, name: str) -> npt.NDArray[np.float32]:
    """What constants alone make of the tensor `name`."""
    parts = onnx.ModelProto()
    parts.CopyFrom(graph)
    makers = {output: node for node in parts.graph.node for output in node.output}
    needed, wanted = [], [name]
    for tensor in wanted:
        if tensor in makers:
            needed.append(makers[tensor])
            wanted += makers[tensor].input
    del parts.graph.node[:], parts.graph.input[:], parts.graph.output[:]
    parts.graph.node.extend(reversed(needed))
    parts.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(
        parts.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run([name], {})[0])


def test_a_wrong_state_order_is_found(
    exported: tuple[Checkpoint, Path, Path], tmp_path: Path
) -> None:
    """The proof fails for a file whose two state outputs are swapped."""
    checkpoint, float_file, _ = exported
    tensors = [
        t for t in checkpoint.model.state_spec if t.name.endswith((".h", ".k", ".v", ".c", ".kv"))
    ]
    alike = next(p for p in itertools.combinations(tensors, 2) if p[0].shape == p[1].shape)
    graph = onnx.load(float_file)
    a, b = (f"next_state.{t.name}" for t in alike)
    for node in graph.graph.node:
        for i, output in enumerate(node.output):
            node.output[i] = {a: b, b: a}.get(output, output)
        for i, output in enumerate(node.input):
            node.input[i] = {a: b, b: a}.get(output, output)
    broken = tmp_path / "swapped.onnx"
    onnx.save(graph, broken)
    assert not all(proof.good for proof in verify_file(broken, checkpoint))


def test_export_is_repeatable_byte_for_byte(tmp_path: Path) -> None:
    checkpoint = make_checkpoint("gru")
    for name in ("a.onnx", "b.onnx"):
        export(checkpoint, tmp_path / name, "int8")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_a_chunk_of_frames_equals_single_frames(tmp_path: Path) -> None:
    checkpoint = make_checkpoint("transformer")
    export(checkpoint, tmp_path / "one.onnx", "none", chunk=1)
    export(checkpoint, tmp_path / "four.onnx", "none", chunk=4)
    one, four = Session(tmp_path / "one.onnx"), Session(tmp_path / "four.onnx")
    x = make_input(one, 1, 64, 0)
    state, outputs = one.initial_state(), []
    for at in range(64):
        y, state = one.step(x[:, at : at + 1], state)
        outputs.append(y)
    state4, outputs4 = four.initial_state(), []
    for at in range(0, 64, 4):
        y, state4 = four.step(x[:, at : at + 4], state4)
        outputs4.append(y)
    np.testing.assert_allclose(np.concatenate(outputs, 1), np.concatenate(outputs4, 1), atol=1e-4)


def test_manifest_in_the_file_is_enough_for_plain_onnxruntime(
    exported: tuple[Checkpoint, Path, Path],
) -> None:
    """F26: names, shapes and start values in the manifest give the golden without our runtime."""
    session = Session(exported[2])
    graph = onnx.load(exported[2])
    assert [p.key for p in graph.metadata_props] == [KEY]
    from edgeseq.runtime import golden_arrays

    x, wanted = golden_arrays(session.manifest)
    y, _ = run_steps(graph, x.reshape(x.shape[1], 1, 1, -1), session.initial_state())
    np.testing.assert_allclose(y, wanted, atol=session.manifest.golden.tolerance)


def test_unknown_scheme_and_suffix_are_refused(tmp_path: Path) -> None:
    checkpoint = make_checkpoint("gru-bytes")
    with pytest.raises(ExportError, match="int3"):
        quantize(export_graph(checkpoint.model), "int3")
    with pytest.raises(ExportError, match=r"must end in \.onnx"):
        export(checkpoint, tmp_path / "model.bin")


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    checkpoint = make_checkpoint("lstm")
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint.model, checkpoint.config, checkpoint.facts)
    again = load_checkpoint(path)
    assert again.config == checkpoint.config
    assert again.facts == checkpoint.facts
    x = 0.1 * torch.randn(1, 9, 320)
    with torch.inference_mode():
        a, _ = checkpoint.model(x, checkpoint.model.initial_state(1))
        b, _ = again.model(x, again.model.initial_state(1))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
