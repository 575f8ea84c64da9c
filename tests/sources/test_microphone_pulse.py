"""The microphone on a real sound server, through PortAudio, ALSA and PulseAudio."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.pulse import PulseServer, pulse_server
from tests.sources.wavbytes import fmt, speech, wav

pytestmark = pytest.mark.audio

RECORD = """
import sys
import numpy as np
from edgeseq.sources import Microphone, list_devices
seconds, path, device = float(sys.argv[1]), sys.argv[2], sys.argv[3]
assert device in [d.name for d in list_devices()], list_devices()
mic = Microphone(device=device, reopen=False)
parts, marks, heard = [], 0, 0
try:
    for block in mic.blocks():
        if not len(block.samples):
            continue
        parts.append(block.samples)
        if len(parts) == 1:
            print("listening", mic.sample_rate, flush=True)
        marks += block.lost > 0
        # From the first sound on: how long the player takes to start is not ours.
        heard += len(block.samples) if heard or block.samples.any() else 0
        if heard >= seconds * mic.sample_rate:
            break
except KeyboardInterrupt:
    print("interrupted", flush=True)
mic.close()
np.save(path, np.concatenate(parts))
print(mic.overflows, mic.lost_samples, marks, flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PulseServer]:
    """One server for all tests here."""
    with pulse_server() as running:
        yield running


def recorder(server: PulseServer, seconds: float, path: Path, device: str) -> Any:
    """A process that records; it has heard its first block when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD, str(seconds), str(path), device],
        env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening 16000"):
        raise AssertionError(line + process.communicate(timeout=20)[1])
    return process


def find(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> int:
    """Where `part` begins in `whole`, by its first 64 samples."""
    for place in np.flatnonzero(whole == part[0]):
        if np.array_equal(whole[place : place + 64], part[:64]):
            return int(place)
    raise AssertionError("what was played is not in the recording")


@pytest.mark.parametrize("device", ["pulse", "default"])
def test_every_sample_that_is_played_is_heard(
    server: PulseServer, device: str, tmp_path: Path
) -> None:
    """F1, F5: five seconds of 16-bit noise, bit for bit, nothing lost."""
    played = speech(80000)
    file = tmp_path / "noise.wav"
    file.write_bytes(wav(played.tobytes(), fmt()))
    process = recorder(server, 5.2, tmp_path / "heard.npy", device)
    server.play(file)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert out.split() == ["0", "0", "0"]
    heard = np.load(tmp_path / "heard.npy") * 2**15
    np.testing.assert_array_equal(heard[find(played, heard) :][: len(played)], played)


REFUSED = """
from edgeseq.sources import Microphone
mic = Microphone(rate=700000)
print(mic.sample_rate, len(mic.notes), any(len(block.samples) for block in mic.blocks()))
mic.close()
"""


def test_a_rate_that_portaudio_refuses_falls_back(server: PulseServer) -> None:
    """F1: the real -9997, and none of the C library's words on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], env=server.env, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["44100", "1", "True"], "")


def test_ctrl_c_ends_a_recording(server: PulseServer, tmp_path: Path) -> None:
    """F11: the device is closed, what was heard is kept, no thread holds the process."""
    process = recorder(server, 1e9, tmp_path / "heard.npy", "pulse")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert out.split()[0] == "interrupted"


def test_a_server_that_dies_is_noticed(tmp_path: Path) -> None:
    """F8: the real end of a device; an error in one line, and the process can still end."""
    with pulse_server() as running:
        process = recorder(running, 1e9, tmp_path / "heard.npy", "pulse")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    # PortAudio may notice it first, and end the stream.
    assert re.search("AudioError: no audio from pulse (for 2 s|any more); is it unplugged", errors)
