"""`edgeseq generate`: text that goes on where a prompt ends, byte by byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..assets import resolve
from ..decode.sampling import Sampler
from ..errors import ConfigError
from ..generator import Generator, StopText
from ..prefix import PrefixCache
from ..profile.latency import StepClock
from ..runtime import Session
from ..sources import open_text
from ..state_file import read_state, write_state
from .interrupt import Interrupt
from .lines import visible

MOST_PROMPT_BYTES = 64 * 2**20

TEXT, PREFIXES = "text", "prefixes"
"""Kinds of state files."""


@click.command(context_settings={"max_content_width": 100})
@click.argument("model")
@click.option("--prompt", metavar="TEXT", help="What the model reads first.")
@click.option("--prompt-file", metavar="FILE", help="The same from a file; - is standard input.")
@click.option(
    "--bytes", "most", type=click.IntRange(1), default=200, show_default=True, metavar="N",
    help="Bytes to write at most.",
)  # fmt: skip
@click.option(
    "--temperature", type=click.FloatRange(0), default=0.8, show_default=True, metavar="T",
    help="0 takes the likeliest byte, 1 draws as the model says.",
)  # fmt: skip
@click.option(
    "--top-k", type=click.IntRange(0), default=0, metavar="K",
    help="Draw among the K likeliest bytes.  [default: 0, all]",
)  # fmt: skip
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, metavar="P",
    help="Draw among the fewest bytes of probability P together.  [default: 1, all]",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Draw as in the run of that seed."
)
@click.option(
    "--stop", "stops", multiple=True, metavar="TEXT",
    help="End before TEXT; may be given again.",
)  # fmt: skip
@click.option(
    "--state", "state_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Go on with what --save-state kept.",
)  # fmt: skip
@click.option(
    "--save-state", "save_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep what the model remembers at the end.",
)  # fmt: skip
@click.option(
    "--prompt-cache", "cache_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Read what this prompt shares with earlier ones from FILE, and keep it there.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end on stdout.")
def command(
    model: str,
    prompt: str | None,
    prompt_file: str | None,
    most: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int | None,
    stops: tuple[str, ...],
    state_file: Path | None,
    save_file: Path | None,
    cache_file: Path | None,
    as_json: bool,
) -> None:
    """Write what a byte MODEL (a file or a bundled name) expects after a prompt.

    Characters come as soon as they are whole; bytes that are no UTF-8 show as U+FFFD, and a
    character that is unfinished at the end is not shown. Speed and the seed go to stderr.

    --save-state keeps what the model remembers of all it has read and written, and --state goes on
    there, in another run: a memory of one user. It is a small file for its owner only, from which
    parts of the text could be guessed. --prompt-cache holds such memories of prompts.
    """
    if prompt is not None and prompt_file is not None:
        raise click.UsageError("--prompt and --prompt-file exclude each other; give one")
    if state_file is not None and cache_file is not None:
        raise click.UsageError(
            "--state and --prompt-cache exclude each other: a cached prompt begins a text"
        )
    for file in (save_file, cache_file):
        # Said before the text is written, not after it.
        if file is not None and not file.resolve().parent.is_dir():
            raise ConfigError(f"{file}: its folder does not exist; make it first")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    sampler = Sampler(temperature, top_k, top_p, seed)
    stop, session = StopText(stops), Session(resolve(model))
    generator = Generator(session, sampler)
    if state_file is not None:
        generator.restore(read_state(state_file, session.digest, TEXT))
    # Not yet under Interrupt: before anything is written Ctrl-C ends it all, at once.
    given = _prompt(prompt, prompt_file)
    known = _read(generator, given, cache_file)
    written = _Writer(not as_json)
    with Interrupt() as interrupt:
        done = _write(generator, stop, most, written, interrupt)
    facts = {
        "model": session.manifest.name,
        "backend": session.backend,
        "prompt_bytes": len(given),
        "known_prompt_bytes": known,
        "text": written.text,
        "bytes": done,
        "unfinished_bytes": len(generator.unfinished),
        "stopped_by": stop.found or None,
        "seed": seed,
        **_times("prompt", generator.reading),
        **_times("token", generator.writing),
    }
    if as_json:
        print(json.dumps(facts))
    else:
        written.end()
        print(_sentence(facts), file=sys.stderr)
    if save_file is not None:
        write_state(save_file, session.digest, TEXT, generator.state)
    if interrupt.requested:
        raise KeyboardInterrupt


class _Writer:
    """Text on stdout as it comes, and all of it at the end."""

    def __init__(self, show: bool) -> None:
        self._show = show
        self._watched = sys.stdout is not None and sys.stdout.isatty()
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def push(self, text: str) -> None:
        if not text:
            return
        self._parts.append(text)
        if self._show:
            # In a terminal nothing that a model makes up may steer it; a file gets what was made.
            shown = "".join(c if c in "\n\t" else visible(c) for c in text)
            print(shown if self._watched else text, end="", flush=True)

    def end(self) -> None:
        if self._watched and not self.text.endswith("\n"):
            print(flush=True)


def _prompt(prompt: str | None, file: str | None) -> bytes:
    if file is None:
        # Bytes of an argument that are no UTF-8 come as surrogates, and go as they were.
        return (prompt or "").encode(errors="surrogateescape")
    source, parts, size = open_text(file), [], 0
    try:
        for block in source.blocks():
            parts.append(block.samples.tobytes())
            size += len(parts[-1])
            if size > MOST_PROMPT_BYTES:
                raise ConfigError(
                    f"{source.name}: a prompt may have {MOST_PROMPT_BYTES:,} bytes; cut it"
                )
    finally:
        source.close()
    return b"".join(parts)


def _read(generator: Generator, prompt: bytes, cache_file: Path | None) -> int:
    """Read the prompt; how many bytes of it the cache knew."""
    if cache_file is None:
        generator.read(prompt)
        return 0
    cache, digest = PrefixCache(), generator.session.digest
    if cache_file.exists():
        cache.restore(read_state(cache_file, digest, PREFIXES))
    known = cache.read(generator, prompt)
    if known < len(prompt):
        write_state(cache_file, digest, PREFIXES, cache.state)
    return known


def _write(
    generator: Generator, stop: StopText, most: int, writer: _Writer, interrupt: Interrupt
) -> int:
    """Write text until something ends it; how many bytes the model made."""
    done = 0
    while done < most and not stop.found and not interrupt.requested:
        writer.push(stop.push(generator.write()))
        done += 1
    writer.push(stop.flush())
    return done


def _times(name: str, clock: StepClock) -> dict[str, Any]:
    """Speed and step times, None without a step."""
    steps = clock.steps
    return {
        f"{name}s_per_second" if name == "token" else f"{name}_bytes_per_second": (
            steps / clock.total_s if clock.total_ns else None
        ),
        f"{name}_p50_ms": clock.p50_ms if steps else None,
        f"{name}_p99_ms": clock.p99_ms if steps else None,
    }


def _sentence(facts: dict[str, Any]) -> str:
    parts = [f"{visible(facts['model'])} ({facts['backend']}): {facts['bytes']} tokens (bytes)"]
    if facts["tokens_per_second"] is not None:
        parts.append(
            f"{facts['tokens_per_second']:,.0f} tokens/s, p50 {facts['token_p50_ms']:.3f} ms, "
            f"p99 {facts['token_p99_ms']:.3f} ms"
        )
    known = f", {facts['known_prompt_bytes']} known" if facts["known_prompt_bytes"] else ""
    parts.append(f"prompt {facts['prompt_bytes']} bytes{known}")
    if facts["stopped_by"] is not None:
        parts.append(f"stopped by {facts['stopped_by']!r}")
    return "; ".join([*parts, f"seed {facts['seed']}"])
