"""`edgeseq compare`: fresh processes, one table, scores; and its numbers as JSON."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from edgeseq import assets
from edgeseq.errors import EdgeseqError
from edgeseq.profile.compare import combine, measure
from edgeseq.runtime import read_manifest
from tests.cli.conftest import SECONDS as CLIP_SECONDS
from tests.cli.conftest import Kit
from tests.cli.process import SECONDS, call, error_of, run, start


def test_json_holds_every_measure(kit: Kit) -> None:
    args = ("compare", kit.tones, kit.level, "--wav", kit.wav, "--labels", kit.labels)
    done = run(*args, "--rounds", 2, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    tones, level = document["models"]
    assert tones["metric"] == {"found": 3, "total": 3, "false_alarms": 0}
    assert level["metric"]["frame_accuracy"] > 0.9
    assert (tones["events"], level["events"]) == (3, 6)
    for row, path in ((tones, kit.tones), (level, kit.level)):
        manifest = read_manifest(path)
        assert row["file_bytes"] == path.stat().st_size
        assert row["weight_bytes"] == manifest.quantization.weight_bytes
        assert row["state_bytes"] == manifest.state_spec.nbytes()
        assert row["parameters"] == manifest.parameters
        assert row["macs_per_step"] == manifest.macs_per_frame
        assert row["algorithmic_latency_ms"] == 10.0
        assert row["stream_seconds"] == CLIP_SECONDS
        assert 0 < row["step_p50_us"] <= row["step_p99_us"]
        assert row["rtf"] > 0
        assert row["rss_peak_bytes"] > 1e7
    assert document["machine"]["cores"] >= 1
    assert "median of 2 rounds" in document["caption"]
    order = [line.split(": ")[1] for line in done.stderr.split("\n") if line]
    assert order == ["tones", "level", "tones", "level"]


def test_table_in_words(kit: Kit) -> None:
    args = ("compare", kit.tones, kit.level, "--wav", kit.wav, "--labels", kit.labels)
    done = call(*args, "--rounds", 1)
    assert done.returncode == 0
    assert "3/3, 0 false" in done.stdout
    for words in ("words found", "right frames", "family", "quantization", "file bytes",
                  "weight bytes", "state bytes", "parameters", "MACs per step", "step p50 (µs)",
                  "step p99 (µs)", "RTF", "peak RSS (MiB)", "algorithmic latency (ms)",
                  "events found", "1 thread", "5.80 s of input"):  # fmt: skip
        assert words in done.stdout, words


def test_text_is_scored_by_bits_per_byte(kit: Kit) -> None:
    done = call("compare", kit.bytes, "--text", kit.text, "--rounds", 1)
    assert done.returncode == 0
    assert "bits per byte" in done.stdout
    assert "algorithmic latency" not in done.stdout


def test_bundled_models_of_the_kind_are_compared(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    for path in (kit.tones, kit.bytes):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    done = call("compare", "--text", kit.text, "--rounds", 1, "--json")
    assert [row["model"] for row in json.loads(done.stdout)["models"]] == ["bytes"]
    done = call("compare", "--wav", kit.wav, "--rounds", 1, "--json")
    assert [row["model"] for row in json.loads(done.stdout)["models"]] == ["tones"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "give one input: --wav FILE or --text FILE"),
        (["--wav", "a", "--text", "b"], "give one input"),
        (["--text", "b", "--labels", "c"], "--labels goes with --wav"),
        (["--wav", "-", "--labels", "-"], "either the input or its labels, not both"),
        (["--wav", "a", "--rounds", "0"], "0 is not in the range"),
    ],
)
def test_wrong_use(args: list[str], words: str) -> None:
    done = call("compare", *args)
    assert done.returncode == 2
    assert words in done.stderr


def test_errors_are_one_line(kit: Kit, tmp_path: Path) -> None:
    wav, tones = ("--wav", kit.wav), ("compare", kit.tones)
    assert "takes text" in error_of(call("compare", kit.bytes, *wav))
    labels = tmp_path / "labels.tsv"
    assert "No such file" in error_of(call(*tones, *wav, "--labels", labels))
    labels.write_text("1.0\t0.5\tlow\n")
    words = error_of(call(*tones, *wav, "--labels", labels))
    assert "line 1: '1.0\\t0.5\\tlow' is not start<TAB>end<TAB>label" in words


def test_an_error_of_the_fresh_process_is_told(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(EdgeseqError, match="No such file"):
        measure(kit.tones, "wav", str(tmp_path / "missing.wav"))


def test_the_fresh_process_does_not_import_what_lies_in_the_folder(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('wrong numpy')")
    monkeypatch.chdir(tmp_path)
    assert measure(kit.tones, "wav", str(kit.wav)).event_count == 3


def test_rounds_with_other_events_are_no_measurement(kit: Kit) -> None:
    one = measure(kit.tones, "wav", str(kit.wav))
    two = measure(kit.level, "wav", str(kit.wav))
    assert combine([one, one, one]) == one
    with pytest.raises(EdgeseqError, match="different events"):
        combine([one, two])


def test_ctrl_c_shows_what_has_been_measured(kit: Kit) -> None:
    process = start(
        "compare", kit.tones, "--wav", kit.wav, "--rounds", 100, "--json", start_new_session=True
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("round 2"):
        pass
    # To the whole group, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert json.loads(out)["models"][0]["events"] == 3


def test_standard_input_is_the_input_or_the_labels(kit: Kit) -> None:
    args = ("compare", kit.tones, "--rounds", 1, "--json")
    file = json.loads(run(*args, "--wav", kit.wav, "--labels", kit.labels).stdout)
    piped = run(*args, "--wav", "-", "--labels", kit.labels, input=kit.wav.read_bytes())
    labelled = run(*args, "--wav", kit.wav, "--labels", "-", input=kit.labels.read_bytes())
    for done in (piped, labelled):
        (model,) = json.loads(done.stdout)["models"]
        for key in ("metric", "events", "steps", "stream_seconds"):
            assert model[key] == file["models"][0][key]
