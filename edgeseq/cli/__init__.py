"""The command `edgeseq`: one file per command, imported when that command runs."""

from __future__ import annotations

import difflib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from .. import __version__
from ..assets import clip
from ..errors import EdgeseqError

__all__ = ["COMMANDS", "group", "main"]

COMMANDS = {
    "stream": ("edgeseq.cli.stream", "Listen to a microphone, file, pipe or text with models."),
    "compare": ("edgeseq.cli.compare", "Measure models side by side on the same input."),
    "eval": ("edgeseq.cli.evaluate", "Measure how well byte models foresee a text."),
    "generate": ("edgeseq.cli.generate", "Write text that goes on where a prompt ends."),
    "profile": ("edgeseq.cli.profile", "Report latency, memory and start of models here."),
    "advise": ("edgeseq.cli.advise", "Recommend a model for a device, from measurements."),
    "info": ("edgeseq.cli.info", "Show what a model file says about itself."),
    "devices": ("edgeseq.cli.devices", "List the microphones."),
    "doctor": ("edgeseq.cli.doctor", "Check this machine, and say what to do."),
    "train": ("edgeseq.cli.train", "Train a model by a recipe."),
    "export": ("edgeseq.cli.export", "Turn a checkpoint into a model file."),
    "simulate": ("edgeseq.cli.simulate", "Run a model as firmware on an emulated board."),
    "quantize": ("edgeseq.cli.quantize", "Try smaller weights, and show what they cost."),
    "verify": ("edgeseq.cli.verify", "Check that a model file computes what it should."),
}
"""Module and short help by command; so that help imports no command."""

INTERRUPTED = 130


class _ReaderGoneError(Exception):
    """A closed pipe by a name that click does not know: it would exit with 1."""


class LazyGroup(click.Group):
    """Knows its commands by name only, and turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is a usage error that names its neighbour."""
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            ctx.fail(f"no such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write three things to try."""
        wav, labels = clip("words.wav"), clip("words.tsv")
        file = _shown(wav) if wav else "FILE.wav"
        option = f" --labels {_shown(labels)}" if wav and labels else ""
        formatter.write_paragraph()
        formatter.write("Try:\n")
        for line in (
            "edgeseq stream --mic",
            f"edgeseq stream --wav {file}",
            f"edgeseq compare --wav {file}{option}",
        ):
            # Not wrapped, so that it can be copied.
            formatter.write(f"  {line}\n")

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse, which may also write: help and the version."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the only place where errors become words and exit codes."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error
        except (KeyboardInterrupt, EdgeseqError, OSError) as error:
            if ctx.params["debug"]:
                traceback.print_exception(error)
            if isinstance(error, KeyboardInterrupt):
                raise click.exceptions.Exit(INTERRUPTED) from error
            _report(error)
            raise click.exceptions.Exit(1) from error


def _report(error: EdgeseqError | OSError) -> None:
    words = str(error)
    if isinstance(error, OSError) and not isinstance(error, EdgeseqError):
        # A full disk, a folder that may not be written: no fault of the program.
        words = f"{error.filename or 'output'}: {error.strerror or error}"
    print(f"edgeseq: error: {' '.join(words.split())}", file=sys.stderr)


def _shown(path: Any) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgeseq", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def group(ctx: click.Context, debug: bool) -> None:
    """Small sequence models, run as a stream: speech and text, recurrent beside Transformer."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 good (also when the reader of the output went away), 1 an error that is told in
    one line, 2 wrong usage, 130 interrupted by Ctrl-C or SIGTERM.
    """
    with _sigterm_as_ctrl_c():
        code = _run(args)
    sys.exit(code)


def _run(args: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets "?" for it, not a UnicodeEncodeError.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = group.main(args, prog_name="edgeseq", standalone_mode=False)
        if isinstance(code, int) and code:
            return code
        for stream in (sys.stdout, sys.stderr):
            # Both are None when the program was started with them closed.
            if stream is not None:
                stream.flush()
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (_ReaderGoneError, BrokenPipeError):
        return 0
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        # The last lines, which only this flush wrote, met a full disk.
        _report(error)
        return 1
    finally:
        _discard_unwritten()


def _discard_unwritten() -> None:
    """Send what cannot be written nowhere: the interpreter would try once more and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
