"""`edgeseq simulate` from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soxr

from edgeseq.assets import clip
from edgeseq.boards.toolchain import Target
from edgeseq.errors import MissingToolError
from edgeseq_export.firmware import export_firmware
from edgeseq_export.native import export_native
from edgeseq_export.read_back import load_weights
from tests.cli.process import SECONDS, call, environment, error_of, lines, run, start
from tests.firmware.engine import tool
from tests.runtime.native_files import need_engine
from tests.sources.wavbytes import fmt, wav

CLIP = clip("words.wav")
BOARD = ("--board", "cortex-m4", "--wav", CLIP)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest bundled model."""
    folder = tmp_path_factory.mktemp("firmware")
    export_firmware(load_weights(Path("vad-gru")), folder)
    return folder


def need_boards() -> None:
    tool("arm-none-eabi-gcc")
    tool("qemu-system-arm")


@pytest.mark.parametrize("model", ["firmware", "words-gru"])
def test_missing_programs_are_one_line(firmware: Path, model: str) -> None:
    """Before a model is exported, too."""
    done = run("simulate", firmware if model == "firmware" else model, *BOARD, PATH="/nowhere")
    assert "arm-none-eabi-gcc is not installed" in error_of(done)
    assert "apt install gcc-arm-none-eabi" in done.stderr


def test_a_compiler_without_its_library_names_the_package(tmp_path: Path) -> None:
    """As on a system that has the compiler's own headers only."""
    own = subprocess.run(
        [tool("arm-none-eabi-gcc"), "-print-file-name=include"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    bare = Target("arm-none-eabi-gcc", ("-nostdinc", "-isystem", own))
    source = tmp_path / "any.c"
    source.write_text("#include <string.h>\n")
    with pytest.raises(MissingToolError, match="apt install libnewlib-arm-none-eabi"):
        bare.compile("-c", source, "-o", tmp_path / "any.o")


def test_a_wrong_wav_is_told_before_anything_is_compiled(firmware: Path, tmp_path: Path) -> None:
    need_boards()
    missing = call("simulate", firmware, "--board", "cortex-m4", "--wav", tmp_path / "no.wav")
    assert "no.wav: cannot be opened: No such file" in error_of(missing)
    text = tmp_path / "text.wav"
    text.write_text("no audio at all\n")
    assert "text, not audio" in error_of(
        call("simulate", firmware, "--board", "cortex-m4", "--wav", text)
    )


def test_wrong_models_are_one_line(firmware: Path, tmp_path: Path) -> None:
    need_boards()
    assert "did you mean words-gru" in error_of(call("simulate", "word-gru", *BOARD))
    assert "weights cannot be read back from .esq" in error_of(call("simulate", "a.esq", *BOARD))
    assert "has no model_data.c; make the folder with" in error_of(
        call("simulate", tmp_path, *BOARD)
    )
    done = call("simulate", "bytes-gru", *BOARD)
    done.stderr = done.stderr.removeprefix("exporting bytes-gru\n")
    assert "bytes-gru: this is a bytes model, which takes text" in error_of(done)


@pytest.mark.parametrize("words", [("--board", "m9"), ("--clock-mhz", "0"), ("--flash", "0")])
def test_wrong_options_are_usage_errors(firmware: Path, words: tuple[str, str]) -> None:
    done = call("simulate", firmware, *BOARD, *words)
    assert done.returncode == 2
    assert words[0] in done.stderr


@pytest.mark.qemu
def test_events_equal_those_of_stream_and_figures_follow(firmware: Path, tmp_path: Path) -> None:
    """Audio of two channels at 44.1 kHz, resampled the same way."""
    need_boards()
    need_engine()
    assert CLIP is not None
    samples = np.frombuffer(CLIP.read_bytes()[44:], "<i2")[: 3 * 16000] / 32768
    left = soxr.resample(samples, 16000, 44100)
    both = np.stack([left, 0.2 * left], axis=1)
    file = tmp_path / "both.wav"
    file.write_bytes(wav((both * 30000).astype("<i2").tobytes(), fmt(channels=2, rate=44100)))
    native = tmp_path / "vad.esq"
    export_native(load_weights(Path("vad-gru")), native)
    wanted = lines(call("stream", native, "--wav", file, "--json").stdout)[:-1]
    assert len(wanted) > 2
    limits = ("--clock-mhz", "200", "--flash", "1024", "--ram", "64")
    options = ("--board", "m55", "--wav", file)
    done = call("simulate", firmware, *options, *limits, "--json")
    assert done.returncode == 0, done.stderr
    *events, figures = lines(done.stdout)
    assert events == wanted
    assert figures["event"] == "simulation"
    assert figures["flash_bytes"] == sum(
        figures[f"{part}_bytes"] for part in ("model", "engine", "other")
    )
    assert figures["ram_bytes"] == sum(
        figures[f"{part}_bytes"] for part in ("arena", "stack", "static")
    )
    assert [check["fits"] for check in figures["checks"]] == [True] * 3
    assert figures["stream_seconds"] == 3.0
    shown = call("simulate", firmware, *options, "--seconds", "1", "--clock-mhz", "0.5")
    assert shown.returncode == 3
    assert "deepest stack" in shown.stdout
    assert "clock: cannot fit: " in shown.stdout
    assert "compiling for cortex-m55" in shown.stderr


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("limit", "what"), [("--flash=16", "flash"), ("--ram=4", "RAM"), ("--clock-mhz=1", "clock")]
)
def test_what_does_not_fit_has_an_exit_code(firmware: Path, limit: str, what: str) -> None:
    need_boards()
    done = call("simulate", firmware, *BOARD, "--seconds", "0.5", limit, "--json")
    assert done.returncode == 3, done.stderr
    (check,) = lines(done.stdout)[-1]["checks"]
    assert (check["what"], check["fits"]) == (what, False)


@pytest.mark.qemu
def test_a_model_is_exported_on_the_way(tmp_path: Path) -> None:
    need_boards()
    done = call("simulate", "vad-gru", *BOARD, "--json")
    assert done.returncode == 0, done.stderr
    *events, figures = lines(done.stdout)
    assert {event["event"] for event in events} == {"speech"}
    assert (figures["model"], figures["events"]) == ("vad-gru", {"speech": len(events)})
    assert "exporting vad-gru" in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize(("kind", "code"), [("wav", 0), ("flac", 1)])
def test_a_cut_file_ends_as_in_stream_after_what_was_heard(
    firmware: Path, tmp_path: Path, kind: str, code: int
) -> None:
    import soundfile

    need_boards()
    assert CLIP is not None
    cut = tmp_path / f"cut.{kind}"
    if kind == "flac":
        soundfile.write(cut, *soundfile.read(CLIP))
    data = cut.read_bytes() if kind == "flac" else CLIP.read_bytes()
    cut.write_bytes(data[: len(data) // 4 | 1])
    done = call("simulate", firmware, "--board", "cortex-m4", "--wav", cut, "--json")
    streamed = call("stream", "vad-gru", "--wav", cut, "--json")
    assert done.returncode == streamed.returncode == code
    assert done.stderr.splitlines()[-1] == streamed.stderr.splitlines()[-1]
    ours, theirs = lines(done.stdout)[-1], lines(streamed.stdout)[-1]
    assert ours["stream_seconds"] == theirs["stream_seconds"] > 1
    assert ours["steps"] == theirs["steps"]


@pytest.mark.qemu
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_the_figures_so_far(
    firmware: Path, tmp_path: Path, number: signal.Signals
) -> None:
    need_boards()
    assert CLIP is not None
    long, temporary = tmp_path / "long.wav", tmp_path / "temporary"
    long.write_bytes(wav(CLIP.read_bytes()[44:] * 60))
    temporary.mkdir()
    process = start(
        "simulate", firmware, "--board", "cortex-m4", "--wav", long, "--json",
        env=environment(TMPDIR=str(temporary)),
    )  # fmt: skip
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "speech"
    (emulator,) = emulators(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    figures = lines(out)[-1]
    assert figures["interrupted"] is True
    assert 0 < figures["stream_seconds"] < 600
    assert figures["stack_bytes"] > 0
    # Nothing is left behind: no file, no emulator.
    assert not list(temporary.iterdir())
    assert not Path(f"/proc/{emulator}").exists()


@pytest.mark.qemu
def test_an_interrupt_while_compiling_leaves_nothing(firmware: Path, tmp_path: Path) -> None:
    need_boards()
    process = start("simulate", firmware, *BOARD, env=environment(TMPDIR=str(tmp_path)))
    assert process.stderr is not None
    assert process.stderr.readline() == "compiling for cortex-m4\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err) == (130, "", "")
    assert not list(tmp_path.iterdir())


def emulators(process: int) -> list[int]:
    """Emulators that a process has started and that still run."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(pid) for pid in listed if b"qemu" in Path(f"/proc/{pid}/cmdline").read_bytes()]
