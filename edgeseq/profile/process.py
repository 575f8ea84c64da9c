"""Running a piece of this package in a fresh process, which ends however the caller ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any, Self

from ..errors import EdgeseqError

__all__ = ["Stop", "report_progress", "run_code", "run_module", "run_watched", "write_result"]

PACKAGES = Path(__file__).parents[2]
"""The folder that this package lies in, which the fresh process must find as well."""

PROGRESS = "progress "

GRACE_SECONDS = 10.0
"""How long a process may take to write what it has after Ctrl-C."""


def run_module(module: str, arguments: Sequence[str], what: str) -> dict[str, Any]:
    """The JSON object that `python -m module arguments...` writes; `what` begins a message.

    EdgeseqError when it ends without one, or writes {"error": words}.
    """
    return _result(["-m", module, *arguments], what)


def run_code(code: str, arguments: Sequence[str], what: str) -> dict[str, Any]:
    """The same for `python -c code arguments...`, where the very first moments matter."""
    return _result(["-c", code, *arguments], what)


def run_watched(
    module: str, arguments: Sequence[str], what: str, tell: Callable[[float], None]
) -> dict[str, Any]:
    """As `run_module`, for a long run that reports its progress and can end early.

    `tell` gets the share that is done. After Ctrl-C the process is asked to end, and what it has
    by then is the result, with "interrupted": true; KeyboardInterrupt when it has nothing.
    """
    interrupted = False
    with _started(["-m", module, *arguments]) as process:
        said: list[str] = []
        written: list[str] = []
        threads = [
            threading.Thread(target=_watch, args=(process.stderr, said, tell), daemon=True),
            threading.Thread(target=lambda: written.append(_all(process.stdout)), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            interrupted = True
            process.send_signal(signal.SIGINT)
            for thread in threads:
                thread.join(GRACE_SECONDS)
        code = process.wait(GRACE_SECONDS) if not interrupted or written else -signal.SIGINT
    if interrupted and not "".join(written).strip():
        raise KeyboardInterrupt
    result = _parsed("".join(written), code, "".join(said), what)
    return result | ({"interrupted": True} if interrupted else {})


def report_progress(done: float) -> None:
    """Within a watched process: the share that is done."""
    sys.stderr.write(f"{PROGRESS}{done:.4f}\n")
    sys.stderr.flush()


def write_result(measure: Callable[[], dict[str, Any]]) -> None:
    """Within a fresh process: what `measure` gives, or the words of its EdgeseqError, on stdout."""
    try:
        result = measure()
    except EdgeseqError as error:
        result = {"error": str(error)}
    json.dump(result, sys.stdout)


class Stop:
    """Within a watched process: once entered, Ctrl-C and SIGTERM only set `requested`.

    Both reach it from a terminal or `timeout`, which signal the whole group, and from the parent.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.requested = False

    def __enter__(self) -> Self:
        """Take over the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        """Leave them: the process ends soon, and must still write its result."""

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


def _watch(stream: IO[str] | None, said: list[str], tell: Callable[[float], None]) -> None:
    for line in stream or ():
        if line.startswith(PROGRESS):
            tell(float(line.removeprefix(PROGRESS)))
        else:
            said.append(line)


def _all(stream: IO[str] | None) -> str:
    return stream.read() if stream is not None else ""


def _result(arguments: list[str], what: str) -> dict[str, Any]:
    code, written, said = _run(arguments)
    return _parsed(written, code, said, what)


def _parsed(written: str, code: int, said: str, what: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(written)
    except ValueError:
        last = said.strip().splitlines()[-1:] or ["no message"]
        raise EdgeseqError(f"{what}: its process ended with {code}: {last[0]}") from None
    if "error" in result:
        raise EdgeseqError(result["error"])
    return result


def _run(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with _started(arguments) as process:
        written, said = process.communicate()
    return process.returncode, written, said


@contextmanager
def _started(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A new Python; however this block ends, the process has ended as well."""
    paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # -P: a file in the current folder that is called like a module must not be taken for it.
    command = [sys.executable, "-P", *arguments]
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
        yield process


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
