"""The command line as a real process, as a shell starts it, or called where that tells the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from edgeseq.cli import group

ROOT = Path(__file__).parents[2]

SECONDS = 60
"""No test waits longer; a hang is a failure, however busy the machine is."""

HEAVY = ("torch", "onnx", "onnxscript", "lightning", "sounddevice", "soundfile")

BLOCKED = """
import sys
for name in {names!r}:
    sys.modules[name] = None
from edgeseq.cli import main
main({args!r})
"""

Done = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    """The environment of a child that finds this checkout, whatever its folder."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""} | more


def command(*args: object) -> list[str]:
    """The words of a call; a warning in it is an error."""
    return [sys.executable, "-W", "error", "-m", "edgeseq", *map(str, args)]


def run(*args: object, input: bytes = b"", cwd: Path | None = None, **env: str) -> Done:
    """Run to the end; output as text."""
    done = subprocess.run(
        command(*args), input=input, capture_output=True, cwd=cwd, env=environment(**env),
        timeout=SECONDS,
    )  # fmt: skip
    return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def call(*args: object, input: bytes = b"") -> Done:
    """The same within this process: much faster, but without what surrounds the commands."""
    result = CliRunner().invoke(group, [str(arg) for arg in args], input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(args, result.exit_code, result.stdout, result.stderr)


def run_without(names: tuple[str, ...], *args: object) -> Done:
    """Run in a Python in which the modules `names` cannot be imported."""
    code = BLOCKED.format(names=names, args=[str(arg) for arg in args])
    return run_code(code)


def run_code(code: str) -> Done:
    """Run Python code that calls the command line itself."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True,
        env=environment(), timeout=SECONDS,
    )  # fmt: skip


def start(*args: object, **pipes: Any) -> subprocess.Popen[str]:
    """Start it with pipes for everything, line by line."""
    pipe = subprocess.PIPE
    settings = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": environment(), **pipes}
    return subprocess.Popen(command(*args), text=True, **settings)


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines as objects."""
    return [json.loads(line) for line in text.splitlines()]


def error_of(done: Done) -> str:
    """The one line of an error that exits with 1 and prints nothing else."""
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("edgeseq: error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr
