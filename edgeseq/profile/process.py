"""Running a piece of this package in a fresh process, which ends however the caller ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import EdgeseqError

__all__ = ["run_code", "run_module"]

PACKAGES = Path(__file__).parents[2]
"""The folder that this package lies in, which the fresh process must find as well."""


def run_module(module: str, arguments: Sequence[str], what: str) -> dict[str, Any]:
    """The JSON object that `python -m module arguments...` writes; `what` begins a message.

    EdgeseqError when it ends without one, or writes {"error": words}.
    """
    return _result(["-m", module, *arguments], what)


def run_code(code: str, arguments: Sequence[str], what: str) -> dict[str, Any]:
    """The same for `python -c code arguments...`, where the very first moments matter."""
    return _result(["-c", code, *arguments], what)


def _result(arguments: list[str], what: str) -> dict[str, Any]:
    paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # -P: a file in the current folder that is called like a module must not be taken for it.
    code, written, said = _run([sys.executable, "-P", *arguments], env)
    try:
        result: dict[str, Any] = json.loads(written)
    except ValueError:
        last = said.strip().splitlines()[-1:] or ["no message"]
        raise EdgeseqError(f"{what}: its process ended with {code}: {last[0]}") from None
    if "error" in result:
        raise EdgeseqError(result["error"])
    return result


def _run(command: list[str], env: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; however this ends, the process has ended as well."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        # subprocess.run would lose a process that Ctrl-C hits while it is being started.
        with _signals_held():
            process = stack.enter_context(
                subprocess.Popen(
                    command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                    encoding="utf-8",
                )
            )  # fmt: skip
            # After Ctrl-C, Popen itself would neither end the process nor wait for its end.
            stack.callback(process.wait)
            stack.callback(process.kill)
        written, said = process.communicate()
    return process.returncode, written, said


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM act only at the end of this block."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    # One that is ignored stays so, here and in the new process.
    before: dict[int, Any] = {
        number: signal.signal(number, hold)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in held:
        signal.raise_signal(number)
