"""`edgeseq advise`: which model for a device, from measurements."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeseq.assets import bundled
from edgeseq.profile import reference
from edgeseq.profile.devices import DEVICES
from tests.cli.process import call, environment, error_of
from tests.profile.documents import document, run

KEYWORD = ("advise", "--task", "keyword", "--device")


def answer(*args: object) -> dict[str, Any]:
    done = call(*args, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def own(folder: Path, *runs: dict[str, Any], system: str = "Debian x86_64", **board: str) -> Path:
    """A profile of the user's."""
    made = document(*runs, **board)
    made["machine"]["system"] = system
    path = folder / f"own{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(made))
    return path


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("task", ["keyword", "vad", "bytes"])
def test_every_device_and_task_has_an_answer_with_reasons(task: str, device: str) -> None:
    done = call("advise", "--task", task, "--device", device)
    assert done.returncode == 0, done.stderr
    for title in ("why:", "what would change it:", "measured on:"):
        assert title in done.stdout
    found = answer("advise", "--task", task, "--device", device)
    best = found["recommended"]
    assert best["trained"], "a bundled model does the task, so no untrained shape comes first"
    assert best["quality"] == max(
        (o["quality"] for o in found["fitting"] if o["quality"] is not None),
        key=lambda value: -value if task == "bytes" else value,
    ) or task == "keyword"  # fmt: skip
    assert best["model"].removesuffix("-native") in bundled()


@pytest.mark.parametrize("device", ["pi-zero", "pi4", "phone"])
def test_no_time_is_claimed_of_a_device_that_nobody_measured(device: str) -> None:
    """A budget that no computer meets excludes nothing there, and no time is written as its own."""
    found = answer(*KEYWORD, device, "--step-budget", "1us")
    assert found["basis"]["kind"] == "bytes"
    assert found["recommended"]["step_us"] is None
    assert "step" not in found["ruled_out"]
    said = call(*KEYWORD, device, "--step-budget", "5ms").stdout
    assert "NO TIME is claimed" in said
    assert re.search(r"meets 5.00 ms on a device up to \d+ times slower", said)


def test_an_assumed_factor_is_called_an_estimate_and_excludes() -> None:
    found = answer(*KEYWORD, "pi4", "--slower", "1000")
    assert found["basis"]["kind"] == "estimate"
    assert found["ruled_out"]["live"]
    assert "ESTIMATE" in " ".join(found["notes"])


def test_a_microcontroller_is_told_instructions_and_never_a_latency() -> None:
    limits = ("--ram", "64k", "--flash", "512k", "--step-budget", "5ms")
    found = answer(*KEYWORD, "cortex-m4", *limits)
    best = found["recommended"]
    assert (best["backend"], best["step_us"]) == ("firmware", None)
    assert best["instructions"] > 0
    assert best["ram_bytes"] <= 64 * 1024
    assert best["flash_bytes"] <= 512 * 1024
    said = call(*KEYWORD, "cortex-m4", *limits).stdout
    assert "no latency" in said
    assert "--clock-mhz" in said


def test_a_clock_excludes_what_cannot_be_fast_enough() -> None:
    free = answer(*KEYWORD, "cortex-m4")["recommended"]["instructions"]
    # A step needs at least so many microseconds at 10 MHz.
    budget = f"{free / 10 - 1:.0f}us"
    found = answer(*KEYWORD, "cortex-m4", "--clock-mhz", "10", "--step-budget", budget)
    assert found["recommended"]["instructions"] < free
    assert found["ruled_out"]["step"]


def test_little_memory_gives_a_smaller_one_and_says_what_is_missing() -> None:
    found = answer(*KEYWORD, "cortex-m4", "--ram", "8k", "--flash", "400k")
    assert found["recommended"]["family"] == "gru"
    assert any(o["family"] == "transformer" for o in found["ruled_out"]["ram"])
    wider = next(c for c in found["changes"] if c["limit"] in ("ram", "flash") and not c["below"])
    assert wider["value"] > 8 * 1024


def test_nothing_fits_is_an_answer() -> None:
    done = call(*KEYWORD, "cortex-m4", "--ram", "1k")
    assert done.returncode == 0
    assert "Nothing that was measured for keyword fits" in done.stdout
    assert "RAM of 1 KiB" in done.stdout


def test_own_measurements_decide_alone(tmp_path: Path) -> None:
    slow = run("mine", metric=0.5, step_p99_us=9_000.0, step_audio_ms=20.0)
    quick = run("other", metric=0.4, step_p99_us=900.0, step_audio_ms=20.0)
    path = own(tmp_path, slow, quick, board="Raspberry Pi 4 Model B", system="Debian aarch64")
    found = answer(*KEYWORD, "pi4", path)
    assert (found["basis"]["kind"], found["recommended"]["model"]) == ("measured", "mine")
    assert {o["model"] for o in found["fitting"]} == {"mine", "other"}
    found = answer(*KEYWORD, "pi4", path, "--step-budget", "1ms")
    assert found["recommended"]["model"] == "other"
    assert found["ruled_out"]["step"][0]["model"] == "mine"


def test_a_profile_of_another_device_is_left_out_and_named(tmp_path: Path) -> None:
    path = own(tmp_path, run(), board="Raspberry Pi 4 Model B", system="Debian aarch64")
    found = answer(*KEYWORD, "laptop", path)
    assert found["basis"]["kind"] == "reference"
    assert any(str(path) in words and "left out" in words for words in found["notes"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--ram", "lots"), "is not a size such as 64k"),
        (("--flash", "0"), "is not a size"),
        (("--ram", "1" * 30), "is not a size"),
        (("--ram", "64kk"), "is not a size"),
        (("--step-budget", "5"), "is not a time such as 5ms"),
        (("--step-budget", "0ms"), "is not a time"),
        (("--slower", "0"), "0.01"),
        (("--clock-mhz", "100"), "--clock-mhz goes with --device cortex-m4"),
    ],
)
def test_wrong_limits_are_told(args: tuple[str, ...], words: str) -> None:
    done = call(*KEYWORD, "laptop", *args)
    assert done.returncode == 2
    assert words in done.stderr


def test_wrong_files_are_told(tmp_path: Path) -> None:
    other = own(tmp_path, run(task="vad"))
    assert "has no run of a keyword model" in error_of(call(*KEYWORD, "laptop", other))
    assert "given twice" in error_of(call(*KEYWORD, "laptop", other, other))
    (tmp_path / "bad.json").write_text("{")
    assert "is not JSON" in error_of(call(*KEYWORD, "laptop", tmp_path / "bad.json"))


def test_it_needs_no_runtime() -> None:
    """Whoever chooses a model for a board may have neither onnxruntime nor an engine."""
    code = (
        "import sys\n"
        "for name in ('onnxruntime', 'edgeseq._engine'): sys.modules[name] = None\n"
        "from edgeseq.cli import main\n"
        "main(['advise', '--task', 'vad', '--device', 'cortex-m4'])\n"
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert "vad-gru" in done.stdout


def test_what_is_known_of_models_is_about_files_that_come_along() -> None:
    """A bundled model that was trained anew must be measured anew."""
    import hashlib

    runs = {run["model"]: run for run in reference.computer()["runs"]}
    for name, path in bundled().items():
        assert runs[name]["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), name
        row = next(r for r in reference.cortex_m4()["rows"] if r["model"] == name)
        assert row["parameters"] == runs[name]["parameters"]
    assert set(reference.quality()) <= set(runs)
