"""`edgeseq eval`: one table for models side by side, files and pipes, Ctrl-C, errors."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeseq.assets import clip
from tests import graphs
from tests.cli.conftest import Kit
from tests.cli.process import SECONDS, call, environment, error_of, start
from tests.runtime.native_files import native_file


def document(*args: object, **more: Any) -> dict[str, Any]:
    done = call("eval", *args, "--json", **more)
    assert done.returncode == 0, done
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture
def passage(tmp_path: Path) -> Path:
    whole = clip("passage.txt")
    assert whole is not None
    part = tmp_path / "passage.txt"
    part.write_bytes(whole.read_bytes()[:1100])
    return part


def test_models_side_by_side_and_onnx_beside_native(passage: Path, tmp_path: Path) -> None:
    native = native_file(tmp_path, "gru-bytes")
    found = document("bytes-gru", "bytes-transformer", native, passage)
    gru, transformer, random = found["models"]
    assert [m["backend"] for m in found["models"]] == ["onnx", "onnx", "native"]
    assert 1.8 < gru["bits_per_byte"] < transformer["bits_per_byte"] < 3.2
    # Random weights know nothing, and a window is of attention only.
    assert random["bits_per_byte"] > 6
    assert [m["window"] for m in found["models"]] == [None, 96, None]
    for model in found["models"]:
        places = model["positions"]
        assert [p["bytes"] for p in places] == [99, 900, 100]
        assert [(p["from"], p["to"]) for p in places] == [(0, 100), (100, 1000), (1000, 10000)]
        total = sum(p["bytes"] * p["bits_per_byte"] for p in places)
        assert model["bits_per_byte"] == pytest.approx(total / 1099)
        assert (model["bytes"], model["first_byte_counted"]) == (1100, False)
        assert model["bytes_per_second"] > 0
        assert model["passes"] is None
    assert found["interrupted"] is False


def test_a_pipe_is_a_file(passage: Path) -> None:
    piped = document("bytes-gru", "-", input=passage.read_bytes())["models"][0]
    assert piped["bits_per_byte"] == document("bytes-gru", passage)["models"][0]["bits_per_byte"]


def test_passes_over_a_file_are_flat(passage: Path) -> None:
    (model,) = document("bytes-transformer", passage, "--repeat", 3)["models"]
    passes = model["passes"]
    assert (passes["bytes"], passes["count"], model["bytes"]) == (1100, 3, 3300)
    assert passes["first"] == pytest.approx(
        document("bytes-transformer", passage)["models"][0]["bits_per_byte"]
    )
    # Of so short a text the first window is a good part, read with less before it.
    assert passes["largest_change"] < 0.05
    assert abs(passes["last"] / passes["first"] - 1) <= passes["largest_change"]


def test_the_table(kit: Kit) -> None:
    done = call("eval", kit.bytes, "bytes-gru", kit.text, "--repeat", 9)
    assert done.returncode == 0
    for words in ("bits per byte", "bytes 0 to 99", "bytes 100 to 999", "passes",
                  "9 of 21 bytes", "largest change from the first", "state bytes",
                  "bytes a second", "without the first byte of 189, no resets"):  # fmt: skip
        assert words in done.stdout, words
    assert "50 % of 189 bytes" in done.stderr
    assert "\x1b" not in done.stdout


def test_what_cannot_be_done_is_one_line(kit: Kit, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for args, words in (
        ((kit.tones, kit.text), "this is a keyword model, which foresees no text"),
        ((kit.bytes, tmp_path / "none"), "none: cannot be opened: No such file"),
        ((kit.bytes, empty), "empty: is empty; there is nothing to measure"),
        ((kit.bytes, empty, "--repeat", 2), "--repeat needs a plain file that is not empty"),
        ((kit.bytes, kit.bytes, kit.text), "given twice"),
        (("bytes-gro", kit.text), "did you mean bytes-gru"),
    ):
        assert words in error_of(call("eval", *args))


@pytest.mark.parametrize(
    "args", [("bytes-gru",), (), ("bytes-gru", "-", "--repeat", "2"), ("m", "f", "--repeat", "0")]
)
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    assert call("eval", *args).returncode == 2


def test_what_was_measured_before_a_failure_is_shown(tmp_path: Path) -> None:
    data = b"ab" * 3000 + b"z"
    model = graphs.chain_model(tmp_path / "m.onnx", b"ab", rest=-50, bad=b"z")
    text = tmp_path / "text"
    text.write_bytes(data)
    done = call("eval", model, text, "--json")
    assert done.returncode == 1
    assert "logits are not finite within" in done.stderr
    assert json.loads(done.stdout)["models"][0]["bytes"] == 5120


def test_ctrl_c_shows_what_was_measured_so_far(kit: Kit, tmp_path: Path) -> None:
    """F11."""
    text = tmp_path / "long.txt"
    text.write_bytes(b"All work and no play. " * 400_000)
    process = start("eval", kit.bytes, text, "--json", "--repeat", 5)
    assert process.stderr is not None
    # The first line of progress: something has been measured.
    assert "0 % of 44,000,000 bytes" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    found = json.loads(out)
    assert found["interrupted"] is True
    assert 1000 < found["models"][0]["bytes"] < 44_000_000
    assert found["models"][0]["bits_per_byte"] > 0


def test_a_file_may_be_larger_than_the_memory(kit: Kit, tmp_path: Path) -> None:
    text = tmp_path / "huge.txt"
    with text.open("wb") as file:
        file.truncate(4 << 30)
    code = (
        "import resource\nfrom edgeseq.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))\n"
        f"main(['eval', {str(kit.bytes)!r}, {str(text)!r}, '--json'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(), text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "0 % of 4,294,967,296 bytes\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert json.loads(out)["models"][0]["bytes"] >= 1024
