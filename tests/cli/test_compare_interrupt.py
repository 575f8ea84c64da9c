"""F11: Ctrl-C during `edgeseq compare` leaves no process behind, at whatever moment it comes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.cli.conftest import Kit
from tests.cli.process import SECONDS, start


@pytest.fixture
def long_text(tmp_path: Path) -> Path:
    """A text that no machine has read before the signal comes."""
    path = tmp_path / "long.txt"
    path.write_bytes(b"All work and no play. " * 200_000)
    return path


# At once: while the process is being started. Later: while it imports or computes.
@pytest.mark.parametrize("delay", [0.0, 0.3])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_worker_ends_with_the_command(
    kit: Kit, long_text: Path, delay: float, number: signal.Signals
) -> None:
    process = start("compare", kit.bytes, "--text", long_text)
    assert process.stderr is not None
    assert "round 1" in process.stderr.readline()
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + SECONDS
    while not workers and time.monotonic() < deadline:
        workers = psutil.Process(process.pid).children()
    time.sleep(delay)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert workers
    assert not any(worker.is_running() for worker in workers)
    # Nothing was measured, so nothing is shown.
    assert (process.returncode, out, err.strip()) == (130, "", "")
