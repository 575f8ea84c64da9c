"""F11: Ctrl-C, SIGTERM and a closed pipe, at every moment of a stream."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from edgeseq.cli.interrupt import Interrupt
from edgeseq.sources import Block
from tests.cli.conftest import SECONDS as CLIP_SECONDS
from tests.cli.conftest import Kit
from tests.cli.process import SECONDS, lines, start

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=SECONDS)
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    return out, err


@BOTH
def test_while_waiting_for_input(kit: Kit, number: signal.Signals) -> None:
    process = start("stream", kit.tones, "--stdin", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    # Up to the middle of the last word: nothing tells of it before the flush.
    data = kit.wav.read_bytes()
    process.stdin.buffer.write(data[: 44 + round(4.52 * 32000)])
    process.stdin.buffer.flush()
    heard = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(number)
    # The pipe stays open: the end must not come from there.
    process.wait(timeout=SECONDS)
    out, err = finish(process)
    assert process.returncode == 130
    found = lines("".join(heard) + out)
    assert [e.get("label") for e in found[:2]] == ["low", "high"]
    assert found[-1]["event"] == "summary"
    assert found[-1]["interrupted"] is True
    assert "peak RSS" in err


@BOTH
def test_while_computing(kit: Kit, tmp_path: Path, number: signal.Signals) -> None:
    text = tmp_path / "long.txt"
    text.write_bytes(b"All work and no play. " * 200_000)
    process = start("stream", kit.bytes, "--text", text, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    # Read on, so that it computes and does not wait for the pipe.
    parts: list[str] = []
    reader = threading.Thread(target=lambda: parts.extend(process.stdout or []))
    reader.start()
    process.send_signal(number)
    process.wait(timeout=SECONDS)
    reader.join()
    summary = lines(parts[-1])[0]
    assert process.returncode == 130
    assert summary["event"] == "summary"
    assert summary["interrupted"] is True
    # Every byte that was read has been told, the first line included.
    assert summary["stream_bytes"] == summary["events"]["token"] == len(parts)
    assert summary["stream_bytes"] < text.stat().st_size
    finish(process)


@BOTH
def test_at_the_speed_of_the_clock(kit: Kit, number: signal.Signals) -> None:
    process = start("stream", kit.tones, "--wav", kit.wav, "--realtime", "--json")
    assert process.stdout is not None
    first = lines(process.stdout.readline())[0]
    process.send_signal(number)
    out, _ = finish(process)
    summary = lines(out)[-1]
    assert process.returncode == 130
    assert first["label"] == "low"
    assert summary["interrupted"] is True
    assert summary["stream_seconds"] < CLIP_SECONDS


def test_before_any_input_came(kit: Kit) -> None:
    process = start("stream", kit.tones, "--stdin")
    wait_for_signals(process.pid)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=SECONDS)
    out, err = finish(process)
    assert (process.returncode, out) == (130, "")
    assert err == "edgeseq: interrupted before any input came\n"


def wait_for_signals(pid: int) -> None:
    """Until the process sleeps in a read of its empty stdin."""
    pause = threading.Event()
    for _ in range(10 * SECONDS):
        if Path(f"/proc/{pid}/syscall").exists():
            try:
                words = Path(f"/proc/{pid}/syscall").read_text().split()
            except PermissionError:
                pytest.skip("this container hides what a process waits for")
            # read(0, ...) on x86-64 and ARM64.
            if words[:2] in (["0", "0x0"], ["63", "0x0"]):
                return
        pause.wait(0.1)
    raise AssertionError("the process did not begin to read")


def test_a_reader_that_leaves_after_one_line(kit: Kit) -> None:
    process = start("stream", kit.tones, kit.level, "--wav", kit.wav, "--realtime")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=SECONDS)
    assert process.stderr is not None
    words = process.stderr.read()
    assert (process.returncode, words) == (0, "listening to " + str(kit.wav) + "; Ctrl-C ends\n")
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("kind", ["wav", "raw", "text"])
def test_f11_a_reader_that_leaves_while_a_pipe_is_silent(kit: Kit, kind: str) -> None:
    # No more input and no event: it is noticed within a second all the same.
    model, options = (kit.bytes, ("--text", "-")) if kind == "text" else (kit.tones, ("--stdin",))
    process = start("stream", model, *options)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    data = kit.wav.read_bytes()
    process.stdin.buffer.write({"wav": data[:60_000], "raw": data[44:60_000], "text": b"ab"}[kind])
    process.stdin.buffer.flush()
    assert process.stderr.readline() == "listening to stdin; Ctrl-C ends\n"
    assert process.stdout.readline()
    process.stdout.close()
    began = monotonic()
    assert process.wait(timeout=SECONDS) == 0
    assert monotonic() - began < 2
    assert process.stderr.read() == ""
    process.stderr.close()
    process.stdin.close()


def test_both_outputs_in_one_closed_pipe(kit: Kit) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("stream", kit.tones, "--wav", kit.wav, stdout=write, stderr=write)
    os.close(write)
    assert process.wait(timeout=SECONDS) == 0
    assert process.stdin is not None
    process.stdin.close()


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


class Blocks:
    """A source that raises a signal at a given block."""

    name = "blocks"
    sample_rate = 16000
    live = False
    notes: list[str] = []  # noqa: RUF012

    def __init__(self, at: int) -> None:
        self.at = at

    def blocks(self) -> Iterator[Block]:
        for index in range(5):
            if index == self.at:
                signal.raise_signal(signal.SIGINT)
            yield Block(np.full(1, index, np.float32))

    def close(self) -> None:
        pass


def test_a_signal_while_waiting_ends_the_input_and_one_while_busy_waits() -> None:
    with Interrupt() as interrupt:
        assert len(list(interrupt.blocks(Blocks(at=3)))) == 3
    assert interrupt.requested
    seen: list[Any] = []
    with Interrupt() as interrupt:
        for block in interrupt.blocks(Blocks(at=-1)):
            seen.append(block)
            signal.raise_signal(signal.SIGINT)
            seen.append("whole")
    assert len(seen) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_ends_everything() -> None:
    with Interrupt():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
