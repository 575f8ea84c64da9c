"""Typing in a terminal: the models read along, words are suggested, the terminal stays whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from edgeseq import Stream
from edgeseq.assets import resolve
from edgeseq.cli.follow import Track
from edgeseq.cli.typing_line import Draft, Typing
from edgeseq.runtime import Session
from edgeseq.sources.typed import LineEditor
from tests import graphs
from tests.cli.process import ROOT, SECONDS

WIDTH, HEIGHT = 90, 24


def test_a_draft_is_read_as_the_stream_would_and_changes_nothing() -> None:
    stream = Stream(resolve("bytes-gru"))
    stream.push(b"\nIn the beginning God\n")
    before = stream.state
    draft = Draft(stream)
    # Typed, mended, begun anew: only the line as it stands counts.
    for text in ("A", "An", "And", "Anx", "An", "And the", "", "And the LORD sa"):
        draft.update(text)
        other = Stream(stream.session)
        other.restore(before)
        assert draft.tokens == other.push(text.encode())
    assert draft.words[0].text == "id"
    after = stream.state
    assert after["decoder"] == before["decoder"]
    # The stream went on by itself: the draft is read from there.
    stream.push(b"And the LORD said\n")
    draft.update("And the LORD sa")
    assert draft.tokens == stream.push(b"And the LORD sa")


def test_a_model_that_takes_several_bytes_reads_along(tmp_path: Path) -> None:
    two = Stream(Session(graphs.byte_model(tmp_path / "two.onnx", chunk=2)))
    typing = Typing(LineEditor(), [Track("two", two)])
    typing.editor.text = "abcd"
    typing.update()
    assert [token.text for token in typing.drafts[0].tokens] == list("abcd")
    assert (typing.drafts[0].words, typing.editor.offer) == ([], "")


class Terminal:
    """A tmux session of a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "socket"), "-f", os.devnull]
        self.status = folder / "status"

    def run(self, *args: str) -> None:
        """Start edgeseq in it, and write down how it ended."""
        words = " ".join([sys.executable, "-m", "edgeseq", *args])
        # The shell must outlive a Ctrl-C, which everything in the terminal gets.
        code = (
            f"trap : INT; {words}; echo $? > {self.status}; "
            f"stty -a | grep -c ' icanon'; sleep {SECONDS}"
        )
        self._call(
            "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT),
            "-e", f"PYTHONPATH={ROOT}", "-e", "LC_ALL=C.UTF-8", "sh", "-c", code,
        )  # fmt: skip

    def type(self, text: str) -> None:
        self._call("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self._call("send-keys", key)

    def screen(self) -> str:
        return self._call("capture-pane", "-p")

    def until(self, good: Callable[[str], bool]) -> str:
        """The screen, as soon as it is `good`; a failure that shows it when it never is."""
        end = monotonic() + SECONDS
        while not good(screen := self.screen()):
            assert monotonic() < end, screen
            sleep(0.05)
        return screen

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=SECONDS)

    def _call(self, *args: str) -> str:
        done = subprocess.run(
            [*self._tmux, *args], capture_output=True, text=True, timeout=SECONDS, check=True
        )
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        if os.environ.get("CI"):
            pytest.fail("tmux is not installed: apt-get install tmux")
        pytest.skip("tmux is not installed")
    made = Terminal(tmp_path)
    yield made
    made.close()


def last_line(screen: str) -> str:
    return next((line for line in screen.splitlines() if line.startswith("›")), "")


def test_words_are_suggested_as_one_types(terminal: Terminal) -> None:
    terminal.run("stream", "bytes-gru", "bytes-transformer", "--text", "-")
    terminal.until(lambda screen: "bytes-transformer" in screen and last_line(screen) != "")
    terminal.type("And the LORD sa")
    screen = terminal.until(lambda s: "› And the LORD sa▏id  Tab takes it" in s)
    assert screen.count("next: id 0.") == 2
    # Both models read along before the line is given.
    assert screen.count("↵And the LORD sa ") == 2
    assert max(len(line) for line in screen.splitlines()) <= WIDTH
    terminal.press("Tab")
    terminal.until(lambda s: "› And the LORD said▏" in s)
    terminal.type("xy")
    terminal.until(lambda s: "› And the LORD saidxy▏" in s)
    terminal.press("BSpace")
    terminal.press("BSpace")
    terminal.until(lambda s: "› And the LORD said▏" in s)
    terminal.press("Enter")
    terminal.until(lambda s: "19 bytes" in s and s.count("LORD said↵") == 2)
    terminal.type("ü")
    terminal.until(lambda s: "› ü▏" in s)
    terminal.press("C-d")
    screen = terminal.until(lambda s: terminal.status.exists() and "\n1" in s)
    # 18 bytes and a line break, behind the one that the text begins with; the ü has two.
    assert "21 bytes of input" in screen
    assert terminal.status.read_text() == "0\n"


def test_ctrl_c_leaves_a_whole_terminal(terminal: Terminal) -> None:
    """F11: what was typed is summed up, and the shell gets its lines back."""
    terminal.run("stream", "bytes-gru", "--text", "-")
    terminal.until(lambda screen: last_line(screen) != "")
    terminal.type("And")
    terminal.until(lambda screen: "› And▏" in screen)
    terminal.press("C-c")
    # What stty says behind it: the terminal edits lines again.
    screen = terminal.until(lambda s: terminal.status.exists() and "\n1" in s)
    assert "bytes of input" in screen
    assert terminal.status.read_text() == "130\n"
