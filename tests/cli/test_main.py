"""The group of commands: help, exit codes, errors in one line, nothing heavy imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgeseq import __version__
from edgeseq.cli import COMMANDS, group
from tests.cli.conftest import Kit
from tests.cli.process import (
    HEAVY,
    SECONDS,
    command,
    environment,
    error_of,
    run,
    run_code,
    run_without,
)

NOT_FOR_HELP = (*HEAVY, "onnxruntime", "soxr", "rich", "psutil")


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_needs_nothing_heavy_and_lists_every_command(args: tuple[str, ...]) -> None:
    done = run_without(NOT_FOR_HELP, *args)
    assert (done.returncode, done.stderr) == (0, "")
    for name, (_, words) in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert words in done.stdout
    _, _, tries = done.stdout.partition("Try:\n")
    assert [line.split()[:2] for line in tries.splitlines()] == [
        ["edgeseq", "stream"], ["edgeseq", "stream"], ["edgeseq", "compare"],
    ]  # fmt: skip


def test_help_imports_no_command() -> None:
    done = run_code(
        "import sys\nfrom edgeseq.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('edgeseq.cli.')], file=sys.stderr)"
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_works_without_training_packages(name: str) -> None:
    done = run_without(HEAVY, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: edgeseq {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_table_names_a_command(name: str) -> None:
    found = group.get_command(click.Context(group), name)
    assert isinstance(found, click.Command)


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"edgeseq {__version__}\n")


def test_a_misspelt_command_is_a_usage_error_with_a_hint() -> None:
    result = CliRunner().invoke(group, ["strem"])
    assert result.exit_code == 2
    assert "no such command 'strem'; did you mean stream?" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(group, ["qqqq"]).exit_code == 2


def test_an_error_is_one_line_and_debug_adds_the_traceback(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    assert f"{missing}: no such model file" in error_of(run("info", missing))
    done = run("--debug", "info", missing)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edgeseq: error: ")


@pytest.mark.parametrize("args", [("--help",), ("info", "{model}"), ("stream", "--help")])
def test_output_that_nobody_reads_is_no_error(kit: Kit, args: tuple[str, ...]) -> None:
    # F11: the reader has gone before the first byte.
    read, write = os.pipe()
    os.close(read)
    words = [arg.format(model=kit.tones) for arg in args]
    done = subprocess.run(
        command(*words), stdout=write, stderr=subprocess.PIPE, text=True, env=environment(),
        timeout=SECONDS,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", [("stream", "{model}", "--wav", "{wav}"), ("info", "{model}")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(kit: Kit, args: tuple[str, ...], unbuffered: str) -> None:
    words = [arg.format(model=kit.tones, wav=kit.wav) for arg in args]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(*words), stdout=full, stderr=subprocess.PIPE, text=True,
            env=environment(PYTHONUNBUFFERED=unbuffered), timeout=SECONDS,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "edgeseq: error: output: No space left on device\n"


def test_closed_stdout_and_stderr_do_no_harm(kit: Kit) -> None:
    words = " ".join(map(str, command("stream", kit.tones, "--wav", kit.wav)))
    code = f"exec {words} >&- 2>&-"
    done = subprocess.run(["sh", "-c", code], env=environment(), timeout=SECONDS)
    assert done.returncode == 0


def test_python_m_and_the_installed_command_are_one() -> None:
    assert (
        run("--version").stdout
        == run_code("import edgeseq.cli; edgeseq.cli.main(['--version'])").stdout
    )
    assert sys.executable
