"""What the check of a machine finds, on this one and on others that are described."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeseq.errors import AudioError
from edgeseq.profile import checkup
from edgeseq.profile.checkup import (
    CHECKS,
    Finding,
    check_memory,
    check_microphone,
    check_models,
    check_packages,
    check_processor,
    check_python,
    check_up,
)
from edgeseq.sources import devices
from edgeseq.sources.simulated import Script, SimulatedCard
from tests import graphs


def test_this_machine_passes() -> None:
    found = list(check_up())
    assert [f for f in found if f.state == "bad"] == []
    checks = {f.check for f in found}
    assert {"python", "packages", "models", "microphone", "processor", "memory"} <= checks
    assert all(f.advice for f in found if f.state != "good")


@pytest.mark.parametrize(
    ("version", "bits", "state", "words"),
    [
        ((3, 10, 2), 64, "bad", "Python 3.11 or newer"),
        ((3, 11, 2), 32, "warn", ".esq files run here"),
    ],
)
def test_f55_a_system_without_wheels_is_told(
    version: tuple[int, ...], bits: int, state: str, words: str
) -> None:
    (found,) = check_python(version, bits)
    assert found.state == state
    assert words in found.advice
    (good,) = check_python((3, 13, 0), 64)
    assert good.state == "good"


def test_a_32_bit_system_needs_no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return importlib.import_module(name)

    assert not [f for f in check_packages(load, bits=32) if f.state == "bad"]
    assert [f.words.split()[0] for f in check_packages(load, bits=64) if f.state == "bad"] == [
        "onnxruntime"
    ]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (found,) = check_models(bits=32)
    assert found.state == "warn"
    assert "--target native" in found.advice


def test_what_an_emulated_processor_can_do_is_not_told(tmp_path: Path) -> None:
    (found,) = check_processor(tmp_path, tmp_path, "qemu-aarch64")
    assert found.state == "warn"
    assert "emulated by qemu-aarch64" in found.words


@pytest.mark.parametrize(
    ("name", "error", "state", "words"),
    [
        ("onnxruntime", ImportError("libm.so: no such file\nmore"), "bad", "pip install"),
        ("numpy", RuntimeError("CPU lacks a feature"), "bad", "--force-reinstall numpy"),
        ("sounddevice", ImportError("No module"), "warn", "edgeseq[mic]"),
        ("sounddevice", OSError("PortAudio library not found"), "warn", "apt install libportaudio"),
        ("soundfile", OSError("sndfile library not found"), "warn", "apt install libsndfile1"),
    ],
)
def test_a_package_that_does_not_load_is_named(
    name: str, error: Exception, state: str, words: str
) -> None:
    def load(wanted: str) -> object:
        if wanted == name:
            raise error
        return importlib.import_module(wanted)

    (found,) = [f for f in check_packages(load) if f.state != "good"]
    assert (found.state, found.check) == (state, "packages")
    assert name in found.words
    assert words in found.advice
    assert "\n" not in found.words


def test_a_model_that_is_damaged_or_computes_something_else_is_bad(tmp_path: Path) -> None:
    good = graphs.tone_model(tmp_path / "good.onnx")
    cut, other = tmp_path / "cut.onnx", tmp_path / "other.onnx"
    cut.write_bytes(good.read_bytes()[:-100])
    model = onnx.load(good)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor) * np.float32(1.5)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(model, other)
    found = list(check_models({"good": good, "cut": cut, "other": other}))
    assert [f.state for f in found] == ["good", "bad", "bad"]
    assert str(cut) in found[1].words
    assert "other is off by" in found[2].words
    (none,) = check_models({})
    assert none.state == "warn"


def use(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    monkeypatch.setattr(devices, "portaudio", lambda: SimulatedCard(script))


def test_a_microphone_is_opened_and_what_it_takes_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, Script(takes=((44100, 2),), rate=44100))
    names, opens = check_microphone(tmp_path)
    assert "0 'Simulated Mic'" in names.words
    assert "opens at 44100 Hz with 2" in opens.words
    use(monkeypatch, Script(takes=((1000, 1),)))
    _, refused = check_microphone(tmp_path)
    assert refused.state == "warn"
    assert "does not open" in refused.words


def test_f9_a_machine_without_portaudio_is_only_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise AudioError("install it with: sudo apt install libportaudio2")

    monkeypatch.setattr(devices, "portaudio", missing)
    (found,) = check_microphone()
    assert (found.state, "libportaudio2" in found.words) == ("warn", True)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert list(check_microphone()) == []


def test_a_device_that_the_user_may_not_use_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, Script())
    node = tmp_path / "pcmC0D0c"
    node.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    blocked, *_ = check_microphone(tmp_path)
    assert str(node) in blocked.words
    assert "usermod -aG audio" in blocked.advice


@pytest.mark.parametrize(
    ("cpuinfo", "state", "words"),
    [
        ("flags : fpu avx2 avx_vnni\n", "good", "AVX VNNI, AVX2"),
        ("Features\t: fp asimd asimddp\n", "good", "NEON dot product, NEON"),
        ("flags : fpu sse2\n", "warn", "no instructions for fast int8"),
    ],
)
def test_what_makes_int8_fast_is_told(tmp_path: Path, cpuinfo: str, state: str, words: str) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    found, _ = check_processor(path, tmp_path)
    assert (found.state, words in found.words) == (state, True)


@pytest.mark.parametrize(
    ("governor", "driver", "state"),
    [
        ("powersave", "cpufreq-dt", "warn"),
        ("powersave", "intel_pstate", "good"),
        ("schedutil", "cpufreq-dt", "good"),
    ],
)
def test_a_governor_that_keeps_the_clock_low_is_told(
    tmp_path: Path, governor: str, driver: str, state: str
) -> None:
    (tmp_path / "scaling_governor").write_text(governor + "\n")
    (tmp_path / "scaling_driver").write_text(driver + "\n")
    (found,) = [f for f in check_processor(tmp_path / "none", tmp_path) if f.check == "governor"]
    assert found.state == state


def test_little_memory_is_told() -> None:
    assert [f.state for f in check_memory(50 * 2**20)] == ["warn"]
    assert [f.state for f in check_memory(500 * 2**20)] == ["good"]


def test_a_check_that_fails_itself_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_disk() -> Any:
        raise OSError("Input/output error")
        yield

    monkeypatch.setattr(checkup, "CHECKS", (check_disk, CHECKS[0]))
    first, second = check_up()
    assert first == Finding("disk", "bad", "Input/output error")
    assert second.check == "python"
