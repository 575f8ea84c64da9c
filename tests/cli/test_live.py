"""The live view: what it shows, at which widths, and that a terminal is left as it was."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgeseq import Stream
from edgeseq.cli.follow import Run, Track
from edgeseq.cli.interrupt import Interrupt
from edgeseq.cli.live import LiveView, Meter
from edgeseq.sources import Block, open_audio, open_text
from tests.cli.conftest import Kit
from tests.cli.process import command, environment
from tests.graphs import tone

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def console(width: int, height: int = 24, **more: object) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    settings = {"force_terminal": True, "legacy_windows": False, **more}
    return Console(file=file, width=width, height=height, **settings), file  # type: ignore[arg-type]


def screens(text: str) -> list[str]:
    """The lines of all drawings, without colours."""
    return re.split("[\r\n]+", STEERING.sub("", text))


def watch(kit: Kit, width: int, height: int = 24, **more: object) -> str:
    """All drawings of a whole run over the recording."""
    out, file = console(width, height, **more)
    tracks = [Track(path.stem, Stream(path)) for path in (kit.tones, kit.level, kit.words)]
    with closing(open_audio(kit.wav)) as source, Interrupt() as interrupt:
        with LiveView(source, tracks, out) as view:
            run = Run(source, tracks, [view])
            run.feed(interrupt)
            run.flush()
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_model_has_a_panel_beside_the_others(kit: Kit, width: int) -> None:
    lines = screens(watch(kit, width))
    assert max(len(line) for line in lines) <= width
    titles = [line for line in lines if "tones" in line and "level" in line and "words" in line]
    assert titles
    text = "\n".join(lines)
    for words in ("low 1.00", "high 1.00", "speech", "silence", "dBFS, peak", "RSS", "MiB",
                  "p50", "p99", "RTF", "0:05.80"):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(("width", "height"), [(20, 5), (30, 9), (40, 24), (300, 100)])
def test_any_size_of_terminal_is_drawn(kit: Kit, width: int, height: int) -> None:
    assert "tones" in watch(kit, width, height)


def test_without_colours_there_are_none(kit: Kit) -> None:
    assert COLOUR.search(watch(kit, 60, color_system="standard"))
    assert not COLOUR.search(watch(kit, 60, color_system="standard", no_color=True))


@pytest.mark.parametrize("no_color", [False, True])
def test_text_flows_with_surprise_and_steers_nothing(kit: Kit, no_color: bool) -> None:
    out, file = console(60, color_system="standard", no_color=no_color)
    track = Track("bytes", Stream(kit.bytes))
    with closing(open_text(kit.text)) as source, Interrupt() as interrupt:
        with LiveView(source, [track], out) as view:
            run = Run(source, [track], [view])
            run.feed(interrupt)
    text = file.getvalue()
    # The escape sequence in the text: its first character is shown as a dot.
    assert "\x1b[31mw" not in text
    shown = "\n".join(screens(text))
    assert "Grüße,·[31mworld!↵" in shown.replace(" ", "")
    assert "bits/byte" in shown
    assert "surprise in bits:  below 1" in shown
    styles = ("\x1b[7m", "\x1b[4m") if no_color else ("\x1b[1;31m", "\x1b[33m")
    assert any(style in text for style in styles)


def test_a_terminal_gets_the_view_and_is_left_as_it_was(kit: Kit) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    env = environment(TERM="xterm-256color", NO_COLOR="1")
    process = subprocess.Popen(
        command("stream", kit.tones, "--wav", kit.wav), env=env, stdin=theirs,
        stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            # How Linux tells the end of a pseudo terminal.
            break
        if not data:
            break
        drawn += data
    os.close(ours)
    out, _ = process.communicate()
    # Lines still go to the pipe, and only there.
    assert process.returncode == 0
    assert out.decode().count("tones") == 3
    text = drawn.decode()
    assert "─ tones ─" in text
    assert "samples lost 0, repaired 0" in text
    assert not COLOUR.search(text)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_lines(kit: Kit) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command("stream", kit.tones, "--wav", kit.wav), env=environment(TERM="dumb"),
        stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout.decode().count("tones") == 3
    assert "\x1b" not in drawn


def test_level_of_a_tone() -> None:
    meter = Meter(16000)
    assert meter.read() == (-np.inf, -np.inf)
    meter.push(Block(tone(1000, 1.0, amplitude=0.5)))
    level, peak = meter.read()
    # A sine of half the full scale: 6.02 dB below it, and 3.01 dB more for the mean square.
    assert level == pytest.approx(-9.03, abs=0.01)
    assert peak == pytest.approx(-6.02, abs=0.01)
    assert meter.read()[0] == -np.inf


def test_peak_is_held_and_then_forgotten() -> None:
    meter = Meter(1000)
    meter.push(Block(np.ones(1, np.float32)))
    for _ in range(14):
        meter.push(Block(np.full(100, 0.1, np.float32)))
    assert meter.read()[1] == 0.0
    meter.push(Block(np.full(200, 0.1, np.float32)))
    assert meter.read()[1] == pytest.approx(-20.0, abs=0.01)


@given(st.lists(st.floats(width=32, allow_nan=True), max_size=50), st.integers(0, 50))
def test_a_cut_does_not_change_the_level(values: list[float], cut: int) -> None:
    samples = np.clip(np.array(values, np.float32), -1e9, 1e9)
    whole, halves = Meter(100), Meter(100)
    whole.push(Block(samples))
    halves.push(Block(samples[:cut]))
    halves.push(Block(samples[cut:]))
    one, two = whole.read(), halves.read()
    assert one[0] == pytest.approx(two[0], abs=1e-3)
    assert one[1] == two[1]
