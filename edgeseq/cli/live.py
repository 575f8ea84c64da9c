"""What a person watches while a stream runs: level, models side by side, step times, memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..events import Event, Gap, Keyword, Speech, Token
from ..profile.memory import current_rss
from ..sources import Block, Source
from .follow import Track
from .lines import visible
from .typing_line import Draft, Typing

__all__ = ["LiveView", "Meter"]

REFRESH_SECONDS = 0.1
REFRESH_SHARE = 10
"""A refresh that took t seconds is not repeated before 10 t: at most a tenth of one core."""

PEAK_SECONDS = 1.5
QUIETEST_DB = -60.0

LEAST_AUDIO_WIDTH, LEAST_TEXT_WIDTH = 19, 36
MOST_ROWS = 10

FLOW = {"\n": "↵", "\t": " "}


class Meter:
    """Level of the newest audio and its peak of the last 1.5 s, in dB below full scale."""

    def __init__(self, rate: int) -> None:
        """Measure audio of `rate` samples a second."""
        self._keep = PEAK_SECONDS * rate
        self._peaks: deque[tuple[int, float]] = deque()
        self._samples = 0
        self._power = 0.0
        self._new = 0

    def push(self, block: Block) -> None:
        """Take new audio in."""
        if not len(block.samples):
            return
        samples = np.nan_to_num(block.samples, nan=0.0, posinf=1.0, neginf=-1.0)
        self._power += float(np.dot(samples, samples))
        self._new += len(samples)
        self._samples += len(samples)
        self._peaks.append((self._samples, float(np.max(np.abs(samples)))))
        while self._samples - self._peaks[0][0] > self._keep:
            self._peaks.popleft()

    def read(self) -> tuple[float, float]:
        """RMS level since the last reading, and the peak."""
        level = _decibel(math.sqrt(self._power / self._new)) if self._new else -math.inf
        self._power, self._new = 0.0, 0
        return level, _decibel(max((peak for _, peak in self._peaks), default=0.0))


class LiveView:
    """A rich Live display on stderr; see Output for how it is fed."""

    def __init__(
        self,
        source: Source,
        tracks: Sequence[Track],
        console: Console,
        typing: Typing | None = None,
    ) -> None:
        """Show `tracks`, which all hear `source`; `typing` is the line at the keyboard."""
        self._source = source
        self._typing = typing
        self._tracks = tracks
        self._console = console
        self._meter = Meter(source.sample_rate) if source.sample_rate else None
        # Nothing is redirected: lines on stdout go to a pipe and must not be drawn here.
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._next = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        self.draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw the end and leave it on the screen."""
        if kind is None:
            self.draw()
        self._live.stop()

    def hear(self, block: Block) -> None:
        """Take new input in, for the level."""
        if self._meter is not None:
            self._meter.push(block)

    def events(self, track: Track, events: list[Event]) -> None:
        """Nothing: the next drawing takes the latest events from the track."""

    def typed(self) -> None:
        """A key was pressed: read the line as it stands, and draw it at once."""
        if self._typing is not None:
            self._typing.update()
            self.draw()

    def tick(self) -> None:
        """Draw, unless that was done a moment ago."""
        if monotonic() >= self._next:
            self.draw()

    def draw(self) -> None:
        """Draw now."""
        began = monotonic()
        self._live.update(self._whole(), refresh=True)
        ended = monotonic()
        self._next = ended + max(REFRESH_SECONDS, REFRESH_SHARE * (ended - began))

    def _whole(self) -> RenderableType:
        options = self._console.options
        width, height = options.max_width, options.size.height
        text = self._meter is None
        least = LEAST_TEXT_WIDTH if text else LEAST_AUDIO_WIDTH
        columns = max(1, min(len(self._tracks), width // least))
        lines = math.ceil(len(self._tracks) / columns)
        notes = [Text(f"note: {visible(n)}", style="yellow") for n in self._source.notes[-3:]]
        head = [self._headline(options), self._legend() if text else self._level(options)]
        foot = [] if self._typing is None else [_line(self._typing, width, options, self._console)]
        # One line stays free below, or the terminal would scroll.
        room = (height - 1 - len(head) - len(foot) - 2 * len(notes)) // lines
        grid = Table.grid(expand=True)
        for _ in range(columns):
            grid.add_column(ratio=1)
        inner = width // columns - 4
        drafts = self._typing.drafts if self._typing else [None] * len(self._tracks)
        panels = [
            _panel(track, draft, inner, room, options, self._console)
            for track, draft in zip(self._tracks, drafts, strict=True)
        ]
        for begin in range(0, len(panels), columns):
            grid.add_row(*panels[begin : begin + columns])
        return Group(*head, grid, *foot, *notes)

    def _headline(self, options: ConsoleOptions) -> Text:
        seconds = max(track.stream.seconds for track in self._tracks)
        elapsed = f"{seconds:,.0f} bytes" if self._meter is None else _clock(seconds)
        facts = f"  {elapsed}  RSS {current_rss() / 2**20:.0f} MiB"
        name = Text(visible(self._source.name), style="bold")
        name.truncate(max(4, options.max_width - len(facts)), overflow="ellipsis")
        return name.append(facts, style="not bold")

    def _level(self, options: ConsoleOptions) -> Text:
        assert self._meter is not None
        level, peak = self._meter.read()
        words = f" {_shown_db(level)} dBFS, peak {_shown_db(peak)}"
        width = max(8, options.max_width - len(words) - 2)
        full, mark, empty = ("#", "|", "-") if options.ascii_only else ("█", "▏", "░")
        filled, at = _place(level, width), _place(peak, width)
        bar = [full] * filled + [empty] * (width - filled)
        if filled < at <= width:
            bar[at - 1] = mark
        style = "red" if peak > -1.0 else "yellow" if peak > -6.0 else "green"
        return Text(" ").append("".join(bar), style=style).append(words)

    def _legend(self) -> Text:
        text = Text("surprise in bits:")
        for words, bits in (("below 1", 0.5), ("1 to 3", 2.0), ("3 to 6", 4.0), ("above 6", 9.0)):
            text.append("  ").append(words, style=_surprise(bits, self._console))
        return text


def _panel(
    track: Track,
    draft: Draft | None,
    inner: int,
    room: int,
    options: ConsoleOptions,
    console: Console,
) -> Panel:
    sums = _sums(track, inner)
    if draft is not None:
        sums.insert(0, _next_words(draft, inner))
    rows = max(1, min(MOST_ROWS, room - 2 - len(sums)))
    if track.text:
        recent = [*track.latest, *(draft.tokens if draft else ())][-inner * rows :]
        body = _flow(recent, options, console)
    else:
        body = _rows(track, rows)
    # An empty line for each row that is still free keeps the panels from growing.
    lines = list(body.wrap(console, max(1, inner)))[-rows:]
    lines += [Text()] * (rows - len(lines))
    title = Text(visible(track.name))
    # A panel puts a space on both sides of its title, and cuts what does not fit without a mark.
    title.truncate(max(1, inner - 2), overflow="ellipsis")
    return Panel(Group(*lines, *(Text(line, style="dim") for line in sums)), title=title)


def _sums(track: Track, inner: int) -> list[str]:
    clock = track.stream.clock
    parts = [f"p50 {clock.p50_ms:.3f} ms", f"p99 {clock.p99_ms:.3f} ms"]
    if track.rtf is not None:
        parts.append(f"RTF {track.rtf:.4f}")
    if track.bits.value is not None:
        parts.append(f"{track.bits.value:.2f} bits/byte")
    line = "  ".join(parts)
    return [line] if len(line) <= inner else parts


def _rows(track: Track, rows: int) -> Text:
    """The latest events, one a line."""
    if not track.latest:
        return Text("listening", style="dim")
    recent = list(track.latest)[-rows:]
    return Text("\n").join(_row(event) for event in recent)


def _row(event: Event) -> Text:
    row = Text(f"{event.time:.2f} ", style="default")
    match event:
        case Keyword():
            return row.append(visible(event.label), style="bold green").append(
                f" {event.score:.2f}"
            )
        case Speech():
            return row.append(
                "speech" if event.active else "silence",
                style="bold cyan" if event.active else "dim",
            )
        case Gap():
            return row.append(f"lost {event.seconds:.2f} s", style="bold red")
        case _:
            return row.append(type(event).__name__.lower())


def _next_words(draft: Draft, inner: int) -> str:
    """The words that may come next, with their probabilities, as many as fit."""
    line = "next:"
    for word in draft.words:
        part = f" {visible(word.text.strip())} {word.probability:.2f}"
        if len(line) + len(part) > inner:
            break
        line += part
    return line


def _line(typing: Typing, width: int, options: ConsoleOptions, console: Console) -> Text:
    """The line at the keyboard, with what Tab would add."""
    sign, cursor = (">", "_") if options.ascii_only else ("›", "▏")
    offer = visible(typing.editor.offer)
    hint = "  Tab takes it" if offer else ""
    typed = _flow(typing.drafts[0].tokens, options, console)
    room = max(1, width - 4 - len(offer) - len(hint))
    if typed.cell_len > room:
        typed = typed[-room:]
    line = Text(f"{sign} ", style="bold").append_text(typed).append(cursor)
    line.append(offer, style="dim").append(hint, style="dim italic")
    line.truncate(max(1, width - 1))
    return line


def _flow(recent: Sequence[Event], options: ConsoleOptions, console: Console) -> Text:
    """The text that was read last, each character coloured by its surprise."""
    flow = Text(overflow="fold", no_wrap=False)
    for event in recent:
        if isinstance(event, Token):
            shown = FLOW.get(event.text, event.text if event.text.isprintable() else "·")
            if options.ascii_only and not shown.isascii():
                shown = " " if event.text == "\n" else "?"
            flow.append(shown, style=_surprise(event.bits, console))
    return flow


def _surprise(bits: float | None, console: Console) -> str:
    """Style of a character; without colours, emphasis has to do."""
    if bits is None or 1.0 <= bits < 3.0:
        return "default"
    if bits < 1.0:
        return "dim"
    if bits < 6.0:
        return "underline" if console.no_color else "yellow"
    return "reverse" if console.no_color else "bold red"


def _decibel(value: float) -> float:
    return 20 * math.log10(value) if value > 0 else -math.inf


def _shown_db(level: float) -> str:
    return f"{level:5.1f}" if level > -100 else " -inf"


def _place(level: float, width: int) -> int:
    """Cells of the bar that a level fills."""
    share = 1 - max(level, QUIETEST_DB) / QUIETEST_DB
    return max(0, min(width, round(share * width)))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    lead = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{lead}:{rest:05.2f}"
