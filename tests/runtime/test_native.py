"""The native backend equals the integer program bit for bit, and its files are checked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Stream
from edgeseq.assets import clip
from edgeseq.errors import ConfigError, ManifestError, StateError
from edgeseq.manifest import Manifest
from edgeseq.runtime import Session, engine, esq_file, read_manifest
from edgeseq.runtime.native import NativeStepper
from edgeseq_export.firmware import arena_bytes
from edgeseq_export.native import export_native, write_native
from edgeseq_export.section import write_section
from tests.export.integer_models import checkpoint, program
from tests.firmware.conftest import FAMILIES, extremes, recording
from tests.firmware.test_host import kernels_here
from tests.runtime.native_files import native_file, need_engine
from tests.runtime.test_session import refused


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return native_file(tmp_path_factory.mktemp("native"), "gru")


def as_input(name: str, frames: npt.NDArray[np.int16]) -> npt.NDArray[Any]:
    """Frames `[T, D]` of the program as a Session takes them, `[T, 1, 1, D]`."""
    shaped = frames.reshape(len(frames), 1, 1, -1)
    return shaped.astype(np.int64) if program(name).bytes_input else shaped / np.float32(32768)


def stepper(session: Session, kernels: str) -> NativeStepper:
    made = session.stepper()
    assert isinstance(made, NativeStepper)
    made.use_kernels(kernels)
    assert made.kernels == kernels
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_every_logit_and_every_state_equals_numpy(name: str, tmp_path: Path) -> None:
    """Through the Session, with every kernel set, on real input and on extremes."""
    built, session = program(name), Session(native_file(tmp_path, name))
    assert session.backend == "native"
    assert session.manifest.state_spec == built.state_spec
    frames = np.concatenate([extremes(built), recording(name, built, 80)])
    steppers = [stepper(session, kernels) for kernels in kernels_here()]
    state = built.state_spec.zeros(1)
    for frame, x in zip(frames, as_input(name, frames), strict=True):
        y, state = built.step(frame.reshape(1, 1, -1), state)
        wanted = built.logits(y)
        for made in steppers:
            assert np.array_equal(made.step(x), wanted), made.kernels
            now = made.state()
            assert all(np.array_equal(now[key], state[key]) for key in state), made.kernels


@pytest.mark.parametrize("name", ["gru-odd", "gru-bytes"])
def test_the_call_through_ctypes_gives_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an installation without Python.h uses."""
    session = Session(native_file(tmp_path, name))
    frames = as_input(name, recording(name, program(name), 40))
    fast = session.stepper()
    wanted = [fast.step(x).copy() for x in frames]
    monkeypatch.setattr(engine, "fast_step", lambda: None)
    slow = session.stepper()
    assert all(np.array_equal(slow.step(x), y) for x, y in zip(frames, wanted, strict=True))
    a, b = fast.state(), slow.state()
    assert all(np.array_equal(a[key], b[key]) for key in a)


def test_the_module_takes_exactly_what_the_stepper_reads(gru: Path) -> None:
    """Everything else is left to the checks in Python, and the state stays."""
    need_engine()
    step = engine.fast_step()
    if step is None:
        pytest.skip("this installation was built without Python.h")
    made = Session(gru).stepper()
    assert isinstance(made, NativeStepper)
    before = made.state()
    good = np.zeros((1, 1, 320), np.float32)
    odd = np.zeros(4 * 320 + 1, np.uint8)[1:].view(np.float32).reshape(1, 1, 320)
    for wrong in (
        good[0], good[:, :, :160], np.zeros((1, 1, 640), np.float32)[:, :, ::2], odd,
        good.astype(np.float64), good.astype(np.int32), good.view(np.uint32), b"x", None,
    ):  # fmt: skip
        assert step(made.address, wrong) == 1
    assert all(np.array_equal(made.state()[key], before[key]) for key in before)
    assert step(made.address, np.full((1, 1, 320), 0.5, np.float32)) == 0
    assert not np.array_equal(made.state()["frontend.tail"], before["frontend.tail"])
    with pytest.raises(ValueError, match="address is 0"):
        step(0, good)


def test_the_fastest_kernels_are_chosen(gru: Path) -> None:
    made = Session(gru).stepper()
    assert isinstance(made, NativeStepper)
    assert made.kernels == engine.kernels() == kernels_here()[-1]
    with pytest.raises(ConfigError, match="kernels 'mmx' are not in this build"):
        made.use_kernels("mmx")


def test_pcm_is_rounded_half_to_even_and_clipped(gru: Path) -> None:
    """The frontend's state shows the samples that the engine heard."""
    built, made = program("gru"), Session(gru).stepper()
    draw = np.random.default_rng(3)
    ties = (np.arange(-200, 200) + 0.5) / 32768
    x = np.concatenate(
        [ties, [1.0, 0.99999, -1.0, -1.1, 7.0, -1e30, 1e-40, -0.0, np.inf], draw.normal(size=551)]
    ).astype(np.float32)
    for frame in x.reshape(3, 1, 1, 320):
        made.step(frame)
        tail = made.state()["frontend.tail"][0]
        assert np.array_equal(tail[-192:], built.quantize_input(frame)[0, 0, -192:])
    made.step(np.full((1, 1, 320), np.nan, np.float32))
    assert not made.state()["frontend.tail"].any()


def test_a_value_that_is_no_byte_is_an_error_and_leaves_the_state(tmp_path: Path) -> None:
    session = Session(native_file(tmp_path, "gru-bytes", 2))
    made = session.stepper()
    made.step(np.array([[[65], [66]]]))
    before = made.state()
    for value in (-1, 256, 2**40):
        with pytest.raises(StateError, match=r"bytes lie in 0 to 255"):
            made.step(np.array([[[65], [value]]]))
    assert all(np.array_equal(made.state()[name], before[name]) for name in before)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_golden_comes_out_exactly(name: str, tmp_path: Path) -> None:
    session = Session(native_file(tmp_path, name))
    assert session.manifest.golden.tolerance == 0
    assert session.golden_error() == 0


def test_a_chunk_of_frames_equals_single_frames(tmp_path: Path) -> None:
    one, three = (Session(native_file(tmp_path, "transformer", n)).stepper() for n in (1, 3))
    frames = as_input("transformer", recording("transformer", program("transformer"), 60))
    single = [one.step(x).copy() for x in frames]
    chunks = [three.step(x.reshape(1, 3, -1)).copy() for x in frames.reshape(20, 3, 1, -1)]
    assert np.array_equal(np.concatenate(single, 1), np.concatenate(chunks, 1))
    a, b = one.state(), three.state()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_export_is_repeatable_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("a.esq", "b.esq"):
        export_native(checkpoint("gru-bytes"), tmp_path / name)
    assert (tmp_path / "a.esq").read_bytes() == (tmp_path / "b.esq").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.esq", "b.esq"]


# --- files ---------------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused(gru: Path, tmp_path: Path) -> None:
    data, cut = gru.read_bytes(), tmp_path / "cut.esq"
    for size in [*range(1, 40), *range(40, len(data), 997), len(data) - 1]:
        cut.write_bytes(data[:size])
        refused(cut)
    cut.write_bytes(data + b"\0")
    refused(cut, f"has {len(data) + 1:,} bytes, its head says {len(data):,}")


def test_a_damaged_file_is_refused(gru: Path, tmp_path: Path) -> None:
    data, path = gru.read_bytes(), tmp_path / "bad.esq"
    for at in (40, 3000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        refused(path, "checksum differs")
    for damaged, word in (
        (data[:8] + b"\2" + data[9:], "has layout 2, this edgeseq reads 1"),
        (b"\x08\x08" + data, "is not a model of the native engine"),
        (data[:15] + b"\xff" + data[16:], "at most 16,777,216 are allowed"),
        (b"", "is empty"),
    ):
        path.write_bytes(damaged)
        refused(path, word)
    onnx = tmp_path / "renamed.onnx"
    onnx.write_bytes(data)
    refused(onnx, "is not an ONNX file, or is damaged")


def repacked(path: Path, manifest: Manifest, section: bytes) -> Path:
    path.write_bytes(esq_file.pack(manifest.to_json(), section))
    return path


def test_a_manifest_of_another_program_is_refused(gru: Path, tmp_path: Path) -> None:
    need_engine()
    manifest, section = read_manifest(gru), write_section(program("gru"))
    path = tmp_path / "other.esq"
    assert Session(repacked(path, manifest, section)).golden_error() == 0
    refused(repacked(path, manifest, write_section(program("gru-bytes"))), "input is bytes")
    refused(
        repacked(path, manifest, write_section(program("gru-odd"))),
        "input_dim is 160, the manifest says 320",
    )
    refused(
        repacked(path, manifest, write_section(program("lstm"))),
        "manifest.state has",
        "the program's",
    )
    first, *rest = manifest.state_spec
    filled = replace(manifest.state_spec, tensors=(replace(first, fill=1), *rest))
    refused(repacked(path, replace(manifest, state_spec=filled), section), "than 0")


def test_a_section_with_any_wrong_number_is_refused_or_runs(gru: Path, tmp_path: Path) -> None:
    """Each number of the section in turn replaced; the file's checksum is right."""
    need_engine()
    manifest, section = read_manifest(gru), write_section(program("gru"))
    words = int.from_bytes(section[4:8], "little")
    path, ran = tmp_path / "wrong.esq", 0
    for at in range(words):
        for value in (0, -1, 1, 2**31 - 1, -(2**31), 1 << 16):
            part = value.to_bytes(4, "little", signed=True)
            changed = section[: 4 * at] + part + section[4 * at + 4 :]
            try:
                made = Session(repacked(path, manifest, changed)).stepper()
            except ManifestError:
                continue
            assert np.isfinite(made.step(np.full((1, 1, 320), 0.5, np.float32))).all()
            ran += 1
    # Shifts, the floor and the fraction have more than one good value; sizes have one.
    assert ran < words


def test_a_damaged_state_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    made = Session(native_file(tmp_path, "transformer")).stepper()
    made.step(np.full((1, 1, 320), 0.1, np.float32))
    good = made.state()
    for name, value in (("filled", 13), ("filled", -1), ("next", 13), ("next", 5)):
        key = f"encoder.{name}"
        with pytest.raises(StateError, match="the saved state is damaged"):
            made.restore({**good, key: np.array([value], np.int32)})
    assert all(np.array_equal(made.state()[name], good[name]) for name in good)


def test_the_file_is_little_more_than_its_weights(gru: Path) -> None:
    manifest = read_manifest(gru)
    assert gru.stat().st_size < manifest.quantization.weight_bytes + 16_000
    # The state is that of the arena, filled up to 8 bytes a tensor.
    assert manifest.state_spec.nbytes() < arena_bytes(program("gru"))


# --- installation --------------------------------------------------------------------------------


def test_a_file_runs_on_its_own_backend_only(gru: Path) -> None:
    from tests import graphs

    assert Session(gru, "native").backend == Session(gru, threads=4).backend == "native"
    with pytest.raises(ConfigError, match=r"'onnx' does not run \.esq files.*--target onnx"):
        Session(gru, "onnx")
    onnx = graphs.gru_model(gru.parent / "gru.onnx")
    with pytest.raises(ConfigError, match=r"'native' does not run \.onnx files.*--target native"):
        Session(onnx, "native")


def test_without_the_engine_it_says_what_to_do(
    gru: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseq.profile.checkup import check_engine

    (found,) = check_engine()
    assert (found.check, found.state) == ("engine", "good")
    engine.library.cache_clear()
    monkeypatch.setattr(engine, "LIBRARY", tmp_path / "none.so")
    try:
        with pytest.raises(ConfigError, match="made without a C compiler; install gcc"):
            Session(gru)
        (found,) = check_engine()
        assert found.state == "warn"
        assert found.advice.startswith("install gcc, then: pip install")
        (tmp_path / "none.so").write_bytes(b"no library")
        with pytest.raises(ConfigError, match="does not load"):
            Session(gru)
        # The manifest needs no engine.
        assert read_manifest(gru).name == "gru"
    finally:
        engine.library.cache_clear()


def test_a_native_stream_needs_numpy_only(gru: Path) -> None:
    """Neither onnxruntime, torch, onnx nor anything for sound: a 32-bit Pi has none of them."""
    code = """
import sys
for name in ("torch", "onnx", "onnxruntime", "soundfile", "sounddevice", "soxr", "psutil", "rich"):
    sys.modules[name] = None
import edgeseq, numpy
stream = edgeseq.load(sys.argv[1])
stream.push(numpy.zeros(16000, "float32"))
stream.flush()
print(stream.clock.steps)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(gru)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 50


def test_a_stream_saves_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    path = clip("words.wav")
    assert path is not None
    samples = np.frombuffer(path.read_bytes()[44:], np.int16)[:48000] / np.float32(32768)
    session = Session(native_file(tmp_path, "transformer"))
    settings = {"thresholds": {f"word{n}": 0.2 for n in range(5)}}
    whole = Stream(session, decoding=settings)
    wanted = whole.push(samples) + whole.flush()
    first, second = (Stream(session, decoding=settings) for _ in range(2))
    events = first.push(samples[:20001])
    second.restore(first.state)
    events += second.push(samples[20001:]) + second.flush()
    assert events == wanted
    assert len(wanted) > 3


def test_a_file_must_be_called_esq(tmp_path: Path) -> None:
    from edgeseq.errors import ExportError

    with pytest.raises(ExportError, match=r"must end in \.esq"):
        write_native(checkpoint("gru"), program("gru"), tmp_path / "model.onnx")
