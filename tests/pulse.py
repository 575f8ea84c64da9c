"""A real PulseAudio server with a microphone that hears what a test plays.

No sound card, no D-Bus: a null sink plays into nothing, and its monitor, remapped, is the default
source. Debian's libasound2-plugins makes it ALSA's default device, which PortAudio opens.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PulseServer", "pulse_server", "require_pulse"]

PACKAGES = "libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"

MODULES = """\
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=edgemic rate={rate} channels=1
load-module module-remap-source master=edgemic.monitor source_name=edgesrc
set-default-sink edgemic
set-default-source edgesrc
"""


@dataclass
class PulseServer:
    """A server that runs between start and stop.

    Attributes:
        folder: where its socket, script and log lie.
        env: environment for processes that shall hear or play.
        device: what to pass to Microphone.
    """

    folder: Path
    env: dict[str, str]
    device: str = "pulse"
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until its microphone is there."""
        log = self.folder / "pulse.log"
        command = ["pulseaudio", "-n", "-F", str(self.folder / "edge.pa"), "--daemonize=no"]
        self._process = subprocess.Popen(
            [*command, "--exit-idle-time=-1", f"--log-target=file:{log}"],
            env=self.env, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(100):
            if self.has_source():
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        words = log.read_text() if log.exists() else "no log"
        raise RuntimeError(f"pulseaudio did not start: {words}")

    def stop(self) -> None:
        """End it at once, as when a device is pulled out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self.folder / "pulse.sock").unlink(missing_ok=True)

    def play(self, path: Path) -> None:
        """Play a WAV file into the microphone and wait until its end."""
        subprocess.run(
            ["paplay", "--device=edgemic", str(path)], env=self.env, check=True, timeout=60
        )

    def has_source(self) -> bool:
        """Whether the microphone is there; False as well while the server does not answer."""
        command = ["pactl", "list", "short", "sources"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=10)
        return "edgesrc" in done.stdout


def require_pulse() -> None:
    """Skip when the tools are missing; in continuous integration that is a failure."""
    missing = [tool for tool in ("pulseaudio", "paplay", "pactl") if not shutil.which(tool)]
    if not ctypes.util.find_library("portaudio"):
        missing.append("libportaudio2")
    if missing:
        words = f"{', '.join(missing)} missing; apt-get install --no-install-recommends {PACKAGES}"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)


@contextmanager
def pulse_server(rate: int = 16000) -> Iterator[PulseServer]:
    """A server whose one microphone runs at `rate`; it ends with the block."""
    require_pulse()
    # A short path: the name of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pulse") as name:
        folder = Path(name)
        folder.chmod(0o700)
        socket = folder / "pulse.sock"
        script = folder / "edge.pa"
        script.write_text(MODULES.format(socket=socket, rate=rate))
        env = os.environ | {
            "XDG_RUNTIME_DIR": name,
            "HOME": name,
            "PULSE_SERVER": f"unix:{socket}",
        }
        server = PulseServer(folder, env)
        try:
            server.start()
            yield server
        finally:
            server.stop()
