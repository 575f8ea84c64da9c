"""`edgeseq stream`: events and sums of files and pipes, wrong use, bad input."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeseq import Stream, assets
from edgeseq.cli import group
from edgeseq.cli.choose import choose, thresholds_for
from edgeseq.sources import open_audio
from tests.cli.conftest import SECONDS, Kit
from tests.cli.process import HEAVY, call, error_of, lines, run, run_without

USAGE = [
    ([], "no input; give one of --mic, --wav FILE, --stdin or --text FILE"),
    (["--mic", "--wav", "a.wav"], "--mic and --wav exclude each other"),
    (["--mic", "--wav", "a", "--stdin", "--text", "b"], "--mic and --wav and --stdin and --text"),
    (["--text", "a", "--realtime"], "--realtime goes with --wav or --stdin, not with --text"),
    (["--mic", "--realtime"], "--realtime goes with --wav or --stdin, not with --mic"),
    (["--text", "a", "--seconds", "3"], "--seconds goes with --mic or --wav or --stdin"),
    (["--text", "a", "--channel", "1"], "--channel goes with"),
    (["--wav", "a", "--once"], "--once goes with --mic, not with --wav"),
    (["--wav", "a", "--device", "1"], "--device goes with --mic, not with --wav"),
    (["--stdin", "--on-overflow", "fill"], "--on-overflow goes with --mic, not with --stdin"),
    (["--mic", "--format", "s16le"], "--format goes with --wav or --stdin, not with --mic"),
    (["--mic", "--channels", "2"], "--channels goes with"),
    (["--wav", "a", "--seconds", "0"], "0.0 is not in the range"),
    (["--wav", "a", "--channel", "left"], "'left' is neither mix nor a number from 0"),
    (["--stdin", "--format", "s12"], "'s12' is not one of"),
    (["--stdin", "--rate", "12"], "12 is not in the range"),
    (["--stdin", "--rate", "fast"], "'fast' is not a valid integer"),
    (["--wav", "a", "--threshold", "yes"], "'yes' is not LABEL=P"),
    (["--wav", "a", "--threshold", "yes=1.5"], "'yes=1.5' is not LABEL=P"),
    (["--wav", "a", "--threshold", "yes=nan"], "'yes=nan' is not LABEL=P"),
    (["--wav", "a", "--on-overflow", "drop"], "'drop' is not one of"),
]


@pytest.mark.parametrize(("args", "words"), USAGE)
def test_a_wrong_combination_is_a_usage_error(args: list[str], words: str) -> None:
    result = CliRunner().invoke(group, ["stream", *args])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_json_gives_the_events_of_a_stream_and_a_summary_per_model(kit: Kit) -> None:
    done = run("stream", kit.tones, kit.level, "--wav", kit.wav, "--json")
    assert done.returncode == 0
    found = lines(done.stdout)
    for name, path in (("tones", kit.tones), ("level", kit.level)):
        with Stream(path) as stream, closing(open_audio(kit.wav)) as source:
            expected = [json.loads(e.to_json()) for e in stream.events(source)]
        own = [line for line in found if line["model"] == name]
        assert own[:-1] == [{"model": name, **event} for event in expected]
        last = own[-1]
        assert last["event"] == "summary"
        assert sum(last["events"].values()) == len(expected)
        assert last["stream_seconds"] == SECONDS
        assert (last["lost_samples"], last["repaired_samples"]) == (0, 0)
        assert last["rtf"] > 0
        assert last["peak_rss_bytes"] > 1e7
        assert last["step_p50_ms"] <= last["step_p99_ms"] <= last["step_max_ms"]
        assert (last["interrupted"], last["notes"]) == (False, [])
    words = [e["label"] for e in found if e["event"] == "keyword"]
    assert words == ["low", "high", "low"]
    assert [e["event"] for e in found[-2:]] == ["summary", "summary"]


def test_plain_lines_on_stdout_and_the_sums_on_stderr(kit: Kit) -> None:
    done = run("stream", kit.tones, kit.level, "--wav", kit.wav)
    assert done.returncode == 0
    first = done.stdout.splitlines()[:3]
    assert first[0].endswith(" s  level  speech begins")
    assert first[1].split()[1:5] == ["s", "tones", "low", "1.00"]
    assert first[2].endswith(" s  level  speech ends")
    assert "3 keyword" in done.stderr
    assert "6 speech" in done.stderr
    assert f"{SECONDS:.2f} s of input, peak RSS" in done.stderr
    assert "samples lost 0, repaired 0" in done.stderr


@pytest.mark.parametrize("option", [("--stdin",), ("--wav", "-")])
def test_a_pipe_gives_the_events_of_the_file(kit: Kit, option: tuple[str, ...]) -> None:
    from_file = run("stream", kit.tones, "--wav", kit.wav)
    from_pipe = run("stream", kit.tones, *option, input=kit.wav.read_bytes())
    assert from_pipe.stdout == from_file.stdout != ""


def test_raw_pcm_at_another_rate_and_channel(kit: Kit) -> None:
    # Every sample twice and a silent right channel: the same sound at 32 kHz.
    samples = kit.wav.read_bytes()[44:]
    stereo = b"".join((samples[i : i + 2] + b"\0\0") * 2 for i in range(0, len(samples), 2))
    raw = ("--format", "s16le", "--rate", 32000, "--channels", 2, "--channel", 0)
    done = call("stream", kit.tones, "--stdin", *raw, "--json", input=stereo)
    assert [e["label"] for e in lines(done.stdout)[:-1]] == ["low", "high", "low"]


def test_real_time_gives_the_same_events(kit: Kit) -> None:
    args = ("stream", kit.tones, "--wav", kit.wav, "--seconds", 1.5)
    assert run(*args, "--realtime").stdout == run(*args).stdout != ""


@pytest.mark.parametrize("seconds", [0.00001, 1.23456, 100])
def test_seconds_end_at_the_sample(kit: Kit, seconds: float) -> None:
    done = call("stream", kit.tones, "--wav", kit.wav, "--seconds", seconds, "--json")
    expected = min(round(seconds * 16000) / 16000, SECONDS)
    assert lines(done.stdout)[-1]["stream_seconds"] == pytest.approx(expected, abs=1e-6)


def test_text_is_read_without_steering_the_terminal(kit: Kit) -> None:
    done = call("stream", kit.bytes, "--text", kit.text)
    assert "\x1b" not in done.stdout
    assert r"'\x1b'" in done.stdout
    shown = [line.split("  ")[2] for line in map(str.strip, done.stdout.splitlines())]
    assert "'ü'" in shown
    assert "'ß'" in shown
    assert f"{kit.text.stat().st_size} bytes of input" in done.stderr
    summary = lines(call("stream", kit.bytes, "--text", kit.text, "--json").stdout)[-1]
    assert summary["stream_bytes"] == kit.text.stat().st_size
    assert summary["stream_seconds"] is summary["rtf"] is None
    assert summary["bits_per_byte"] > 0


def test_a_locale_without_umlauts_is_no_error_and_json_keeps_them(kit: Kit) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    args = ("stream", kit.bytes, "--text", "-")
    plain = run(*args, input="Größe".encode(), **env)
    assert plain.returncode == 0
    assert "'?'" in plain.stdout
    found = lines(run(*args, "--json", input="Größe".encode(), **env).stdout)
    assert "".join(e["text"] for e in found[:-1]) == "Größe"


def test_threshold_replaces_one_label_and_keeps_the_others(kit: Kit) -> None:
    args = ("stream", kit.tones, kit.level, "--wav", kit.wav, "--json")
    found = lines(call(*args, "--threshold", "low=1", "--threshold", "speech=0.2").stdout)
    assert [e["label"] for e in found if e["event"] == "keyword"] == ["high"]
    assert sum(e["event"] == "speech" for e in found) == 6


def test_a_speech_threshold_below_the_end_threshold_takes_it_along(kit: Kit) -> None:
    tones, level, _ = chosen = choose([str(kit.tones), str(kit.level), str(kit.words)], text=False)
    settings = thresholds_for(chosen, {"speech": 0.2, "low": 0.9})
    assert level.manifest.decoding.off > 0.2
    assert settings == [{"thresholds": {"low": 0.9, "high": 0.6}}, {"on": 0.2, "off": 0.2}, {}]
    assert tones.manifest.decoding.thresholds == {"low": 0.6, "high": 0.6}


def test_threshold_of_an_unknown_label_names_the_known(kit: Kit) -> None:
    words = error_of(call("stream", kit.tones, "--wav", kit.wav, "--threshold", "lo=0.5"))
    assert "no model here knows lo; known are: high, low" in words


def test_models_of_one_name_are_told_apart(kit: Kit, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(kit.tones.read_bytes())
    found = lines(call("stream", kit.tones, other, "--wav", kit.wav, "--json").stdout)
    assert {line["model"] for line in found} == {"tones", "other"}
    assert "given twice" in error_of(call("stream", kit.tones, kit.tones, "--wav", kit.wav))


def test_a_model_refuses_the_other_kind_of_input(kit: Kit) -> None:
    words = error_of(call("stream", kit.bytes, "--wav", kit.wav))
    assert "this is a bytes model, which takes text, but the input is audio; use --text" in words
    words = error_of(call("stream", kit.tones, "--text", kit.text))
    assert "this is a keyword model, which takes audio, but the input is text; use --mic" in words


def test_bundled_models_run_when_none_is_named(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    result = CliRunner().invoke(group, ["stream", "--wav", str(kit.wav)])
    assert result.exit_code == 1
    assert "no bundled model for audio" in result.stderr
    for name, source in (
        ("words-gru", kit.tones),
        ("vad-gru", kit.level),
        ("bytes-gru", kit.bytes),
    ):
        (tmp_path / f"{name}.onnx").write_bytes(source.read_bytes())
    result = CliRunner().invoke(group, ["stream", "--wav", str(kit.wav), "--json"])
    assert {line["model"] for line in lines(result.stdout)} == {"tones", "level"}
    result = CliRunner().invoke(group, ["stream", "--text", str(kit.text), "--json"])
    assert {line["model"] for line in lines(result.stdout)} == {"bytes"}
    result = CliRunner().invoke(group, ["stream", "vad-gru", "--wav", str(kit.wav), "--json"])
    assert {line["model"] for line in lines(result.stdout)} == {"level"}


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

BAD_MODELS = [
    ("empty.onnx", b"", "is empty"),
    ("pointer.onnx", LFS, "is a Git LFS pointer, not the model itself"),
    ("noise.onnx", b"\xff" * 100, "is not an ONNX file, or is damaged"),
    ("model.txt", b"x", "a model file must end in .onnx"),
]


@pytest.mark.parametrize(("name", "data", "words"), BAD_MODELS)
def test_a_bad_model_is_one_line(
    kit: Kit, tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    for args in (("stream", path, "--wav", kit.wav), ("info", path)):
        line = error_of(call(*args))
        assert str(path) in line
        assert words in line


def test_a_cut_model_is_one_line(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(kit.tones.read_bytes()[:3000])
    assert str(path) in error_of(call("stream", path, "--wav", kit.wav))


def test_a_missing_model_names_its_neighbour(kit: Kit) -> None:
    words = error_of(call("stream", kit.folder / "tone.onnx", "--wav", kit.wav))
    assert f"did you mean {kit.tones}" in words


BAD_AUDIO = [
    (b"", "empty, 0 bytes"),
    (LFS, "a Git LFS pointer, not the audio itself"),
    (b"RIFF\0\0\0\0WAVE", "broken WAV header"),
    (b"hello world, hello", "text, not audio"),
    (b"PK\x03\x04" + bytes(40), "ZIP, which is not read here"),
]


@pytest.mark.parametrize(("data", "words"), BAD_AUDIO)
def test_bad_audio_is_one_line(kit: Kit, tmp_path: Path, data: bytes, words: str) -> None:
    # F17, F18.
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    assert words in error_of(call("stream", kit.tones, "--wav", path))
    assert words in error_of(call("stream", kit.tones, "--stdin", input=data))


def test_missing_audio_and_text_are_one_line(kit: Kit, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert "No such file" in error_of(call("stream", kit.tones, "--wav", missing))
    assert "No such file" in error_of(call("stream", kit.bytes, "--text", missing))


def test_an_empty_text_is_no_error(kit: Kit) -> None:
    done = call("stream", kit.bytes, "--text", "-", "--json")
    assert (done.returncode, lines(done.stdout)[0]["stream_bytes"]) == (0, 0)


def test_a_cut_file_gives_its_events_and_a_note(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(kit.wav.read_bytes()[:-3001])
    done = call("stream", kit.tones, "--wav", path)
    assert done.returncode == 0
    assert "note: " in done.stderr
    assert "cut short" in done.stderr


def test_a_stream_runs_without_training_packages_and_without_a_sound_library(kit: Kit) -> None:
    # F9 and DESIGN section 2.
    done = run_without((*HEAVY, "rich"), "stream", kit.tones, "--wav", kit.wav, "--json")
    assert done.returncode == 0
    assert len(lines(done.stdout)) == 4
