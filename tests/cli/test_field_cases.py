"""Faults that users of other tools reported, from the file or device to the words on the screen.

One test a case, named after it; docs/field-cases.md lists them all with their state.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeseq.cli.stream as stream_command
from edgeseq import Keyword, Session, Stream
from edgeseq.assets import bundled, resolve
from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import Microphone
from edgeseq.sources.simulated import Fault, Script, SimulatedCard
from tests.cli.conftest import Kit
from tests.cli.process import Done, call, command, environment, error_of, lines, run
from tests.graphs import HIGH_HZ, LOW_HZ, RATE, byte_model, silence, tone
from tests.sources.test_pcm import encoded
from tests.sources.wavbytes import GUID_TAIL, chunk, fmt, wav

ROOT = Path(__file__).parents[2]

SIGNAL = np.concatenate(
    [silence(0.3), tone(LOW_HZ, 0.3), silence(0.5), tone(HIGH_HZ, 0.3), silence(0.3)]
)


def words(done: Done) -> list[tuple[str, float]]:
    """Label and time of every keyword that a run with --json told."""
    assert done.returncode == 0, done.stderr
    return [(e["label"], e["time"]) for e in lines(done.stdout) if e["event"] == "keyword"]


def heard(kit: Kit, data: bytes, *options: object) -> list[tuple[str, float]]:
    return words(call("stream", kit.tones, "--stdin", "--json", *options, input=data))


@pytest.fixture(scope="module")
def expected(kit: Kit) -> list[tuple[str, float]]:
    """What the plain recording says."""
    found = heard(kit, wav(encoded(SIGNAL, "s16le")))
    assert [label for label, _ in found] == ["low", "high"]
    return found


def near(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    """The same words, each within two frames."""
    return [w for w, _ in found] == [w for w, _ in expected] and all(
        abs(a - b) <= 0.0201 for (_, a), (_, b) in zip(found, expected, strict=True)
    )


# --- microphone: through the command, in simulated time ------------------------------------------


def listen(
    monkeypatch: pytest.MonkeyPatch, kit: Kit, script: Script, *options: object, audio: Any = None
) -> Done:
    """`edgeseq stream --mic` on a simulated card, to the end of its script."""
    card = SimulatedCard(script, audio)
    mic = partial(Microphone, backend=card, clock=card)
    monkeypatch.setattr(stream_command, "Microphone", mic)
    args = ("stream", kit.tones, "--mic", "--json", "--seconds", script.seconds)
    return call(*args, *options)


def mono(*faults: Fault, seconds: float = 12.0) -> Script:
    return Script(rate=RATE, channels=1, seconds=seconds, faults=faults)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_f1_a_card_that_refuses_16_khz(
    monkeypatch: pytest.MonkeyPatch, kit: Kit, expected: Any, rate: int
) -> None:
    time = np.arange(round(len(SIGNAL) / RATE * rate)) / rate
    audio = np.interp(time, np.arange(len(SIGNAL)) / RATE, SIGNAL).astype(np.float32)
    script = Script(rate=rate, channels=2, takes=((rate, 2),), seconds=3.0)
    done = listen(monkeypatch, kit, script, audio=audio)
    assert near(words(done), expected)
    assert f"opened at {rate} Hz with 2" in done.stderr


@pytest.mark.parametrize(("signal", "warned"), [("left", False), ("opposite", True)])
def test_f2_a_card_of_two_channels(
    monkeypatch: pytest.MonkeyPatch, kit: Kit, signal: str, warned: bool
) -> None:
    done = listen(monkeypatch, kit, Script(rate=RATE, signal=signal))
    assert done.returncode == 0
    assert ("channels cancel each other in the mix" in done.stderr) == warned


def test_f5_and_f7_overflows_are_events_and_in_the_summary(
    monkeypatch: pytest.MonkeyPatch, kit: Kit
) -> None:
    faults = [Fault("overflow", second, 0.25) for second in range(2, 10, 2)]
    done = listen(monkeypatch, kit, mono(*faults))
    found = lines(done.stdout)
    gaps = [e for e in found if e["event"] == "gap"]
    assert [g["cause"] for g in gaps] == ["overflow"] * 4
    assert [g["seconds"] for g in gaps] == pytest.approx([0.25] * 4, abs=0.03)
    summary = found[-1]
    assert summary["device"]["overflows"] == 4
    assert summary["lost_samples"] == pytest.approx(16000, abs=1500)
    assert "microphone: 4 overflows, 0 times gone" in done.stderr


def test_f6_the_policy_for_overflows(monkeypatch: pytest.MonkeyPatch, kit: Kit) -> None:
    script = mono(Fault("overflow", 4.0, 0.5))
    fill = listen(monkeypatch, kit, script, "--on-overflow", "fill")
    assert (fill.returncode, '"gap"' in fill.stdout) == (0, False)
    fail = listen(monkeypatch, kit, script, "--on-overflow", "fail")
    assert fail.returncode == 1
    assert "samples (0.500 s) were lost" in fail.stderr
    # What was heard before is told all the same.
    assert lines(fail.stdout)[-1]["event"] == "summary"


def test_f8_a_microphone_that_is_unplugged(monkeypatch: pytest.MonkeyPatch, kit: Kit) -> None:
    word = np.concatenate([silence(1), tone(LOW_HZ, 0.3), silence(28.7), tone(HIGH_HZ, 0.3)])
    script = mono(Fault("unplug", 4.0, 10.0), seconds=33.0)
    done = listen(monkeypatch, kit, script, audio=word)
    assert [label for label, _ in words(done)] == ["low", "high"]
    summary = lines(done.stdout)[-1]
    assert summary["device"]["losses"] == 1
    assert "no audio for 2 s; is it unplugged" in done.stderr
    assert "audio again after" in done.stderr
    once = listen(monkeypatch, kit, script, "--once", audio=word)
    assert once.returncode == 1
    assert "edgeseq: error: no audio from Simulated Mic for 2 s" in once.stderr
    assert [e["event"] for e in lines(once.stdout)] == ["keyword", "summary"]


def test_f8_exact_zeros(monkeypatch: pytest.MonkeyPatch, kit: Kit) -> None:
    done = listen(monkeypatch, kit, mono(Fault("zeros", 2.0, 6.0)))
    assert "digital silence" in done.stderr
    assert lines(done.stdout)[-1]["device"]["silent_seconds"] == pytest.approx(6, abs=0.1)


# --- files and pipes -----------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("guid", [b"", GUID_TAIL], ids=["plain", "extensible"])
@pytest.mark.parametrize(
    ("format", "tag", "bits"),
    [("u8", 1, 8), ("s16le", 1, 16), ("s24le", 1, 24), ("s32le", 1, 32), ("f32le", 3, 32),
     ("f64le", 3, 64), ("alaw", 6, 8), ("mulaw", 7, 8)],
)  # fmt: skip
def test_f12_every_kind_of_wav(
    kit: Kit, expected: Any, format: str, tag: int, bits: int, guid: bytes, channels: int
) -> None:
    data = encoded(np.repeat(SIGNAL, channels), format)
    file = wav(data, fmt(tag=tag, bits=bits, channels=channels, guid_tail=guid))
    assert near(heard(kit, file), expected)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_f14_sizes_of_a_streaming_writer(kit: Kit, expected: Any, size: int) -> None:
    assert heard(kit, wav(encoded(SIGNAL, "s16le"), size=size)) == expected


@pytest.mark.parametrize("tag", [b"LIST", b"JUNK", b"bext", b"fact", b"id3 "])
@pytest.mark.parametrize("length", [0, 1, 999])
def test_f15_other_chunks_before_the_audio(
    kit: Kit, expected: Any, tag: bytes, length: int
) -> None:
    between = chunk(tag, b"x" * length)
    assert heard(kit, wav(encoded(SIGNAL, "s16le"), before=between)) == expected


def test_f17_files_that_were_cut(kit: Kit, expected: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    file = wav(encoded(SIGNAL, "s24le"), fmt(bits=24))
    for cut in (1, 2):
        path.write_bytes(file[:-cut])
        done = call("stream", kit.tones, "--wav", path, "--json")
        assert near(words(done), expected)
        assert "incomplete last frame" in done.stderr
    for length in range(44):
        path.write_bytes(file[:length])
        assert str(path) in error_of(call("stream", kit.tones, "--wav", path))


@pytest.mark.parametrize("format", ["mulaw", "alaw"])
def test_f18_telephone_audio(kit: Kit, expected: Any, format: str) -> None:
    half = encoded(SIGNAL[::2].copy(), format)
    tag = {"alaw": 6, "mulaw": 7}[format]
    assert near(heard(kit, wav(half, fmt(tag=tag, bits=8, rate=8000))), expected)
    assert near(heard(kit, half, "--format", format, "--rate", 8000), expected)
    wrong = call("stream", kit.tones, "--stdin", "--format", "f32le", input=half)
    assert "wrong --format?" in error_of(wrong)


@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.integers(1, 50_000), min_size=1, max_size=12))
def test_f19_a_pipe_cut_at_odd_bytes(kit: Kit, expected: Any, cuts: list[int]) -> None:
    data = encoded(SIGNAL, "s16le")
    args = command("stream", kit.tones, "--stdin", "--format", "s16le", "--json")
    process = subprocess.Popen(
        args, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    for begin, end in pairwise(edges):
        process.stdin.write(data[begin:end])
        process.stdin.flush()
    out, _ = process.communicate(timeout=60)
    assert words(Done(args, process.returncode, out.decode(), "")) == expected


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000])
def test_f22_any_rate(kit: Kit, expected: Any, rate: int) -> None:
    time = np.arange(round(len(SIGNAL) / RATE * rate)) / rate
    samples = np.interp(time, np.arange(len(SIGNAL)) / RATE, SIGNAL).astype(np.float32)
    assert near(heard(kit, wav(encoded(samples, "s16le"), fmt(rate=rate))), expected)


def test_f23_audio_is_read_without_torchaudio_and_its_codecs(kit: Kit) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'torchaudio', 'torchcodec', 'soundfile'): sys.modules[name] = None\n"
        f"from edgeseq.cli import main\nmain(['stream', {str(kit.tones)!r}, '--wav', "
        f"{str(kit.wav)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 3)


# --- sessions ------------------------------------------------------------------------------------


def test_f4_the_rate_changes_in_the_middle(kit: Kit) -> None:
    stream = Stream(kit.tones)
    labels = []
    for rate in (8000, 16000, 48000):
        time = np.arange(round(1.2 * rate)) / rate
        part = (0.5 * np.sin(2 * np.pi * LOW_HZ * time) * (time > 0.5) * (time < 0.8)).astype(
            np.float32
        )
        labels += [e.label for e in stream.push(part, rate) if isinstance(e, Keyword)]
        before = stream.seconds
        with pytest.raises(ConfigError):
            stream.push(part, rate=-rate)
        with pytest.raises(AudioError):
            stream.push(part.astype(np.float64), rate)
        assert stream.seconds == before
    labels += [e.label for e in stream.flush() if isinstance(e, Keyword)]
    assert labels == ["low"] * 3


@pytest.mark.parametrize("at", [4990, 2**24 - 2, 2**31 - 2, 2**40])
def test_f37_no_counter_has_an_end(at: int) -> None:
    """As if hours or years had passed: the same logits, step by step, from the same past."""
    stream = Stream(resolve("words-transformer"))
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    stream.push(noise[:RATE])
    late = Stream(stream.session)
    state = stream.state
    state["samples"] += at * stream.session.manifest.timing.step_samples
    state["outputs"] += at
    late.restore(state)
    assert [e.as_dict() | {"time": 0} for e in late.push(noise[RATE:])] == [
        e.as_dict() | {"time": 0} for e in stream.push(noise[RATE:])
    ]
    for name, tensor in stream.state["tensors"].items():
        np.testing.assert_array_equal(late.state["tensors"][name], tensor)
        assert tensor.dtype != np.int64 or np.abs(tensor).max() <= 10_000


def test_f38_the_window_of_a_byte_model_shifts_without_harm() -> None:
    """Bits per byte stay where they are, twelve windows on."""
    text = (ROOT / "edgeseq/assets/clips/passage.txt").read_bytes()[:400]
    stream = Stream(resolve("bytes-transformer"))
    window = stream.session.manifest.timing.left_context
    assert window
    rounds = []
    for _ in range(max(13, 13 * window // len(text))):
        bits = [e.bits for e in stream.push(text) if getattr(e, "bits", None) is not None]  # type: ignore[attr-defined]
        rounds.append(float(np.mean(bits)))
    assert max(rounds[2:]) <= rounds[0] * 1.1


def test_f57_no_thread_of_the_runtime_can_spin(kit: Kit) -> None:
    """One thread a session: nothing idles beside the stream."""
    before = psutil.Process().num_threads()
    stream = Stream(Session(kit.words))
    stream.push(SIGNAL)
    assert psutil.Process().num_threads() == before


@pytest.mark.parametrize("name", bundled())
def test_f63_licence_data_and_hash_are_shown(name: str) -> None:
    shown = run("info", name).stdout
    assert re.search(r"licence +\S+", shown)
    assert re.search(r"data +\S+.*\(.+\)", shown)
    assert re.search(r"file SHA-256 +[0-9a-f]{64}", shown)
    document = json.loads(run("info", name, "--json").stdout)
    assert document["manifest"]["provenance"]["data"]


def test_f34_bytes_come_one_by_one_or_at_once(tmp_path: Path) -> None:
    session = Session(byte_model(tmp_path / "b.onnx", chunk=4))
    text = "Grüße aus dem Norden".encode()
    whole, single = Stream(session), Stream(session)
    expected = whole.push(text) + whole.flush()
    found = [e for i in range(len(text)) for e in single.push(text[i : i + 1])]
    assert found + single.flush() == expected


COMMON = {
    "Add", "And", "Cast", "Clip", "Concat", "DFT", "Div", "DynamicQuantizeLinear", "Equal", "Exp",
    "Expand",
    "Gather", "Greater", "GreaterOrEqual", "LayerNormalization", "Less", "LessOrEqual", "Log",
    "MatMul", "MatMulInteger", "Max", "Min", "Mul", "Neg", "Not", "Pow", "ReduceMax", "ReduceMean",
    "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt",
    "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""What the onnxruntime packages for phones run; a build with fewer operators goes by the list."""


@pytest.mark.parametrize("name", bundled())
def test_f60_only_common_operators_which_info_lists(name: str) -> None:
    found = json.loads(run("info", name, "--json").stdout)["operators"]
    assert set(found["opsets"]) == {""}
    assert found["opsets"][""] <= 18
    assert found["ir"] <= 10
    assert set(found["counts"]) <= COMMON
    shown = run("info", name).stdout
    assert f"ONNX opset {found['opsets']['']}; IR version {found['ir']}" in shown
    assert f"MatMulInteger {found['counts']['MatMulInteger']}" in shown


@pytest.mark.parametrize("name", bundled())
def test_f60_the_ort_format_of_mobile_builds_takes_every_bundled_model(
    name: str, tmp_path: Path
) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(bundled()[name]), options, ["CPUExecutionProvider"])
    again = onnxruntime.InferenceSession(
        str(tmp_path / "m.ort"), providers=["CPUExecutionProvider"]
    )
    session = Session(bundled()[name])
    stepper, manifest = session.stepper(), session.manifest
    x = np.zeros(manifest.inputs[0].bound(1), manifest.inputs[0].dtype)
    feeds = {"x": x} | {f"state.{n}": v for n, v in manifest.state_spec.zeros(1).items()}
    np.testing.assert_allclose(again.run(["y"], feeds)[0], stepper.step(x), atol=1e-5)
