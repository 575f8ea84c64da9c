"""`edgeseq stream --mic` and `edgeseq devices`, with and without what a microphone needs (F9)."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from time import monotonic

import pytest

from tests.cli.conftest import Kit
from tests.cli.process import (
    SECONDS,
    command,
    environment,
    error_of,
    lines,
    run_code,
    run_without,
)
from tests.pulse import PulseServer, pulse_server

WITHOUT_PORTAUDIO = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from edgeseq.cli import main
main({args!r})
"""


def without_portaudio(*args: object) -> subprocess.CompletedProcess[str]:
    return run_code(WITHOUT_PORTAUDIO.format(args=[str(arg) for arg in args]))


def test_without_portaudio_files_work_and_the_microphone_names_the_package(kit: Kit) -> None:
    assert without_portaudio("--help").returncode == 0
    done = without_portaudio("stream", kit.tones, "--wav", kit.wav)
    assert (done.returncode, done.stdout.count("\n")) == (0, 3)
    for args in (("stream", kit.tones, "--mic"), ("devices",)):
        words = error_of(without_portaudio(*args))
        assert "sudo apt install libportaudio2, or brew install portaudio" in words


def test_without_sounddevice_the_microphone_names_the_extra(kit: Kit) -> None:
    for args in (("stream", kit.tones, "--mic"), ("devices",)):
        words = error_of(run_without(("sounddevice",), *args))
        assert "pip install 'edgeseq[mic]'" in words


@pytest.fixture(scope="module")
def server() -> Iterator[PulseServer]:
    """One sound server for all tests here."""
    with pulse_server() as running:
        yield running


@pytest.mark.audio
def test_devices_lists_the_microphone(server: PulseServer) -> None:
    done = subprocess.run(
        command("devices", "--json"), env=environment(**server.env), capture_output=True,
        text=True, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert server.device in [device["name"] for device in lines(done.stdout)]


@pytest.mark.audio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_microphone_with_what_was_heard(
    server: PulseServer, kit: Kit, number: signal.Signals
) -> None:
    # F11: most of the time the queue is empty when the signal comes.
    process = listen(server, kit)
    assert process.stdout is not None
    server.play(kit.wav)
    assert json.loads(process.stdout.readline())["event"] == "keyword"
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert lines(out)[-1]["interrupted"] is True
    assert "Traceback" not in err


@pytest.mark.audio
def test_a_microphone_that_nobody_reads_any_more_ends_in_silence(
    server: PulseServer, kit: Kit
) -> None:
    # F11: no event is needed to notice it.
    process = listen(server, kit)
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=SECONDS)
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (0, "")
    process.stderr.close()


@pytest.mark.audio
def test_f8_a_microphone_that_comes_back_is_heard_again(kit: Kit) -> None:
    # A real server dies and another takes its place: what was heard stays, the gap is told.
    with pulse_server() as server:
        process = listen(server, kit)
        assert process.stdout is not None
        assert process.stderr is not None
        server.play(kit.wav)
        heard = [json.loads(process.stdout.readline()) for _ in range(3)]
        server.stop()
        assert "It is opened again as soon as it is there" in next_note(process)
        server.start()
        assert "audio again after" in next_note(process)
        server.play(kit.wav)
        gap, *later = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
    assert [event["label"] for event in heard] == ["low", "high", "low"]
    assert (gap["event"], gap["cause"]) == ("gap", "device")
    assert [event["label"] for event in later] == ["low", "high"]
    assert later[0]["time"] > gap["time"]
    summary = lines(out)[-1]
    assert process.returncode == 130
    assert summary["device"]["losses"] == 1
    assert summary["device"]["lost_seconds"] == pytest.approx(gap["seconds"], abs=0.001)


@pytest.mark.audio
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "closed stdout", "once"])
def test_f11_a_dead_microphone_does_not_keep_the_process(kit: Kit, how: str) -> None:
    # Within a second, with what was heard: the summary where anyone reads it.
    with pulse_server() as server:
        process = listen(server, kit, *(["--once"] if how == "once" else []))
        assert process.stdout is not None
        server.play(kit.wav)
        process.stdout.readline()
        server.stop()
        if how != "once":
            next_note(process)
            if how == "closed stdout":
                process.stdout.close()
            else:
                process.send_signal(signal.Signals[how])
        began = monotonic()
        process.wait(timeout=SECONDS)
        # A second, and one more for the end of Python on a busy machine.
        assert monotonic() - began < (4 if how == "once" else 2)
    expected = {"once": 1, "closed stdout": 0}
    assert process.returncode == expected.get(how, 130)
    if how != "closed stdout":
        assert lines(process.stdout.read())[-1]["event"] == "summary"
        process.stdout.close()
    assert process.stderr is not None
    assert ("edgeseq: error: no audio from pulse" in process.stderr.read()) == (how == "once")
    process.stderr.close()


def next_note(process: subprocess.Popen[str]) -> str:
    """The next note on stderr; PortAudio's own words stand between."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("note: pulse: ") and "digital silence" not in line:
            return line
    raise AssertionError("it ended without a note")


def listen(server: PulseServer, kit: Kit, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command("stream", kit.tones, "--mic", "--device", server.device, "--json", *more),
        env=environment(**server.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == f"listening to {server.device}; Ctrl-C ends\n"
    return process
