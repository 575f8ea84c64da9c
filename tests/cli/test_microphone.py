"""`edgeseq stream --mic` and `edgeseq devices`, with and without what a microphone needs (F9)."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

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


def listen(server: PulseServer, kit: Kit) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command("stream", kit.tones, "--mic", "--device", server.device, "--json"),
        env=environment(**server.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == f"listening to {server.device}; Ctrl-C ends\n"
    return process
