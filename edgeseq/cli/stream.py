"""`edgeseq stream`: events of one or more models on a microphone, file, pipe or text."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from ..errors import EdgeseqError
from ..sources import FORMATS, Microphone, Source, open_audio, open_text, realtime
from ..sources.typed import TypedSource
from ..stream import Stream
from .choose import Chosen, choose, parse_thresholds, thresholds_for
from .follow import Output, Run, Track
from .interrupt import Interrupt
from .lines import JsonLines, LiveNotes, PlainLines, print_json, print_summary, visible
from .summary import summarise

if TYPE_CHECKING:
    from rich.console import Console

Channel = int | Literal["mix"]

FILES = ("wav", "stdin")
AUDIO = ("mic", *FILES)

GOES_WITH = {
    "device": ("--device", ("mic",)),
    "on_overflow": ("--on-overflow", ("mic",)),
    "once": ("--once", ("mic",)),
    "paced": ("--realtime", FILES),
    "pcm": ("--format", FILES),
    "channels": ("--channels", FILES),
    "rate": ("--rate", AUDIO),
    "channel": ("--channel", AUDIO),
    "seconds": ("--seconds", AUDIO),
}
"""Option and the inputs that it makes sense with, by parameter."""


def parse_channel(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Channel:
    """`mix` or a channel number."""
    if value is None or value == "mix":
        return "mix"
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither mix nor a number from 0")
    return int(value)


@click.command(context_settings={"max_content_width": 100})
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--mic", is_flag=True, help="Listen to a microphone, at its level (no gain control).")
@click.option("--wav", metavar="FILE", help="Read an audio file; - is standard input.")
@click.option("--stdin", is_flag=True, help="Read audio (WAV or raw PCM) from standard input.")
@click.option("--text", metavar="FILE", help="Read text byte by byte; - is standard input.")
@click.option("--realtime", "paced", is_flag=True, help="Play a file at the speed of the clock.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per event on stdout.")
@click.option("--device", metavar="D", help="Microphone: number or part of its name.")
@click.option(
    "--channel", metavar="mix|N", callback=parse_channel, default=None,
    help="Channel to hear, from 0, or the mean of all.  [default: mix]",
)  # fmt: skip
@click.option("--format", "pcm", type=click.Choice(list(FORMATS)), help="Format of raw PCM.")
@click.option(
    "--rate", type=click.IntRange(1000, 768000), metavar="HZ",
    help="Rate of raw PCM, or the one to ask a microphone for.",
)  # fmt: skip
@click.option("--channels", type=click.IntRange(1), metavar="N", help="Channels of raw PCM.")
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="LABEL=P", callback=parse_thresholds,
    help="Probability that a label needs; may be given again.",
)  # fmt: skip
@click.option(
    "--on-overflow", type=click.Choice(["mark", "fill", "fail"]),
    help="What to do about lost microphone audio.  [default: mark]",
)  # fmt: skip
@click.option("--once", is_flag=True, help="End when the microphone goes away, do not wait for it.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Stop after N seconds of audio.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, /, models: tuple[str, ...], as_json: bool, **options: object
) -> None:
    """Run MODELs side by side on one input and write their events as they come.

    MODEL is a file or the name of a bundled model. Without any, both families run: words-gru,
    words-transformer and vad-gru on audio, bytes-gru and bytes-transformer on text.

    In a terminal the events are drawn with level, step times and memory; in a pipe each is a line.
    --text - in a terminal reads along as one types, key by key, and suggests how the word goes on:
    Tab takes it, Enter gives the line to the models, Ctrl-D ends the text.
    Ctrl-C ends the input: what is known is still written, then the sums on stderr.
    """
    _check_combination(ctx.params)
    chosen = choose(models, text=options["text"] is not None)
    settings = thresholds_for(chosen, ctx.params["thresholds"])
    tracks = [
        Track(model.name, Stream(model.path, decoding=own))
        for model, own in zip(chosen, settings, strict=True)
    ]
    try:
        source = _open(ctx.params, chosen, as_json)
    except KeyboardInterrupt:
        print("edgeseq: interrupted before any input came", file=sys.stderr)
        raise
    try:
        _stream(source, tracks, as_json, ctx.params["seconds"])
    finally:
        source.close()


def _check_combination(given: dict[str, object]) -> None:
    """Raise a usage error, in one line, for options that do not go together."""
    inputs = [name for name in ("mic", "wav", "stdin", "text") if given[name] not in (None, False)]
    if not inputs:
        raise click.UsageError("no input; give one of --mic, --wav FILE, --stdin or --text FILE")
    if len(inputs) > 1:
        found = " and ".join(f"--{name}" for name in inputs)
        raise click.UsageError(f"{found} exclude each other; give one input")
    kind = inputs[0]
    for name, (option, kinds) in GOES_WITH.items():
        if given[name] not in (None, False, "mix") and kind not in kinds:
            others = " or ".join(f"--{k}" for k in kinds)
            raise click.UsageError(f"{option} goes with {others}, not with --{kind}")


def _open(given: dict[str, Any], chosen: list[Chosen], as_json: bool) -> Source:
    channel: Channel = given["channel"]
    if given["text"] == "-" and not as_json and _watched(sys.stdin) and _drawn_on():
        return TypedSource()
    if given["text"] is not None:
        return open_text(given["text"])
    if given["mic"]:
        rate = given["rate"] or max(m.manifest.timing.sample_rate or 1 for m in chosen)
        return Microphone(
            rate,
            given["device"],
            channel,
            on_overflow=given["on_overflow"] or "mark",
            reopen=not given["once"],
        )
    source = open_audio(
        given["wav"] or "-",
        channel,
        format=given["pcm"],
        rate=given["rate"],
        channels=given["channels"],
    )
    return realtime(source) if given["paced"] else source


def _stream(source: Source, tracks: list[Track], as_json: bool, seconds: float | None) -> None:
    """Feed the tracks, write what they say, and the sums in any case."""
    failure: EdgeseqError | None = None
    with Interrupt() as interrupt:
        with ExitStack() as stack:
            run = Run(source, tracks, _outputs(stack, source, tracks, as_json), seconds)
            try:
                run.feed(interrupt)
            except EdgeseqError as error:
                if not run.pushed:
                    raise
                # An unplugged microphone takes nothing back of what was heard before.
                failure = error
            run.flush()
        summary = summarise(run, interrupt.requested)
        print_summary(summary)
        if as_json:
            for line in summary.lines():
                print_json(line)
        if failure is not None:
            raise failure
        if interrupt.requested:
            raise KeyboardInterrupt


def _outputs(stack: ExitStack, source: Source, tracks: list[Track], as_json: bool) -> list[Output]:
    """JSON lines, plain lines in a pipe, a live view in a terminal."""
    outputs: list[Output] = []
    if not as_json and _drawn_on():
        from .live import LiveView
        from .typing_line import Typing

        typed = source if isinstance(source, TypedSource) else None
        typing = Typing(typed.editor, tracks) if typed else None
        view = stack.enter_context(LiveView(source, tracks, _console(), typing))
        if typed:
            typed.changed = view.typed
        outputs.append(view)
    drawn = bool(outputs)
    if source.live and not drawn:
        print(f"listening to {visible(source.name)}; Ctrl-C ends", file=sys.stderr, flush=True)
        outputs.append(LiveNotes(source))
    if as_json:
        outputs.append(JsonLines())
    elif not drawn or not _watched(sys.stdout):
        outputs.append(PlainLines(tracks))
    return outputs


def _drawn_on() -> bool:
    """Whether stderr is a terminal that a view can be drawn on."""
    return _watched(sys.stderr) and not _console().is_dumb_terminal


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _watched(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
