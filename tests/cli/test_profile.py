"""`edgeseq profile`: tables, files, wrong use, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from edgeseq import assets
from edgeseq.profile.document import check
from edgeseq.profile.labels import rows_of
from tests.cli.conftest import Kit
from tests.cli.process import HEAVY, SECONDS, call, error_of, lines, run_without, start

QUICK = ("--rounds", 1, "--steps", 50)


def test_every_output_tells_of_every_configuration(kit: Kit, tmp_path: Path) -> None:
    files = [tmp_path / f"report{end}" for end in (".json", ".csv", ".html")]
    outputs = [word for file in files for word in ("-o", file)]
    done = run_without(
        HEAVY, "profile", kit.tones, "--wav", kit.wav, "--labels", kit.labels,
        "--rounds", 2, "--steps", 50, "--threads", "1,2", "--backends", "onnx", *outputs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert told == ["tones on onnx, 1 thread", "tones on onnx, 2 threads"] * 2
    document = json.loads(files[0].read_text())
    check(document, "report.json")
    found = [(r["model"], r["threads"], r["steps"]) for r in document["runs"]]
    assert found == [("tones", 1, 100), ("tones", 2, 100)]
    assert document["runs"][0]["metric"] == 1.0
    assert [len(r["rounds"]) for r in document["runs"]] == [2, 2]
    assert document["settings"]["rounds"] == 2
    assert files[1].read_text().count("\n") == 3
    assert "tones 2 threads" in files[2].read_text()
    shown = [words for (words, *_), _ in rows_of(document["runs"])]
    assert len(shown) > 25
    assert all(words in done.stdout for words in shown)
    assert "100.0% words found, 0 false" in done.stdout
    assert "algorithmic latency" in done.stdout
    assert "µs to a step" in done.stdout


def test_bundled_models_are_measured_with_bundled_clips(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    (tmp_path / "clips").mkdir()
    pairs = ((kit.tones, "tones.onnx"), (kit.bytes, "bytes.onnx"), (kit.wav, "clips/words.wav"),
             (kit.text, "clips/passage.txt"), (kit.labels, "clips/words.tsv"))  # fmt: skip
    for path, name in pairs:
        (tmp_path / name).write_bytes(path.read_bytes())
    done = call("profile", *QUICK, "--json")
    (document,) = lines(done.stdout)
    found = {run["model"]: (run["input"], run["metric_name"]) for run in document["runs"]}
    assert found == {
        "tones": ("words.wav", "words found"), "bytes": ("passage.txt", "bits per byte"),
    }  # fmt: skip
    assert document["notes"] == [], "each file by the backend that it is for"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--steps", "5", "--seconds", "1"], "--steps and --seconds exclude each other"),
        (["--steps", "0"], "0 is not in the range"),
        (["--labels", "a.tsv"], "--labels goes with --wav"),
        (["--threads", "1,0"], "'1,0' is not numbers from 1 to 999"),
        (["--threads", ""], "is not numbers"),
        (["--backends", "onnx,tpu"], "'tpu' is none of onnx"),
        (["-o", "report.pdf"], "must end in .json, .csv, .html"),
    ],
)
def test_wrong_use(args: list[str], words: str) -> None:
    done = call("profile", *args)
    assert done.returncode == 2
    assert words in done.stderr


def test_errors_are_one_line_before_anything_is_measured(kit: Kit, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    for args, words in (
        ((kit.tones, "--wav", missing), "no such file"),
        ((missing,), "no such model file"),
        ((kit.tones, kit.tones), "given twice"),
        ((kit.tones, "-o", missing / "a.json"), "its folder does not exist"),
        ((kit.tones, "--wav", kit.wav, "--labels", missing), "No such file"),
    ):
        assert words in error_of(call("profile", *args, *QUICK))


def test_a_file_that_cannot_be_written_costs_no_figures(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "taken.json").mkdir()
    done = call("profile", kit.tones, *QUICK, "--wav", kit.wav, "-o", tmp_path / "taken.json")
    assert done.returncode == 1
    assert "taken.json: cannot be written: Is a directory" in done.stderr
    assert "step p50" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]


def test_ctrl_c_writes_what_has_been_measured(kit: Kit, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = start(
        "profile", kit.tones, kit.level, "--wav", kit.wav, "--rounds", 100, "--steps", 50,
        "-o", report, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    while not process.stderr.readline().startswith("round 2"):
        pass
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "step p50" in out
    document = json.loads(report.read_text())
    check(document, "report.json")
    assert [run["model"] for run in document["runs"]] == ["tones", "level"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_long_stream_that_is_ended_is_written(
    kit: Kit, tmp_path: Path, number: signal.Signals
) -> None:
    report = tmp_path / "report.json"
    process = start(
        "profile", kit.tones, "--wav", kit.wav, *QUICK, "--soak", "100000h", "-o", report,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    while not process.stderr.readline().startswith("stream of"):
        pass
    # The stream's own process, and a moment in which it has begun to answer signals.
    deadline = time.monotonic() + SECONDS
    while not any(c.cpu_times().user > 1.5 for c in psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # To the whole group, as a terminal and `timeout` do.
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "(interrupted)" in out
    document = json.loads(report.read_text())
    check(document, "report.json")
    (row,) = document["soak"]
    assert (row["interrupted"], row["same_after_reset"]) == (True, True)
    assert row["steps"] > 0
