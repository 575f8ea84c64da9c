"""The models in the package: complete, small, honest about where they come from, and working."""

from __future__ import annotations

import csv
import subprocess
import sys
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Keyword, Session, Speech, Stream, Token
from edgeseq.assets import bundled, clip
from edgeseq.runtime.proof import verify_golden
from edgeseq.sources import open_audio
from tests.contract import Backend, verify_stream_contract

NAMES = ("bytes-gru", "bytes-transformer", "vad-gru", "words-gru", "words-transformer")
TOTAL_BYTES = 4_000_000
PEAK_RSS_MIB = 75


def samples() -> npt.NDArray[np.float32]:
    """The bundled recording."""
    path = clip("words.wav")
    assert path is not None
    with closing(open_audio(str(path))) as source:
        return np.concatenate([block.samples for block in source.blocks()])


def test_all_are_there_and_small() -> None:
    assert tuple(sorted(bundled())) == NAMES
    assert sum(path.stat().st_size for path in bundled().values()) < TOTAL_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_each_proves_itself_and_names_its_origin(name: str) -> None:
    session = Session(bundled()[name])
    manifest = session.manifest
    assert verify_golden(session).good
    assert manifest.name == name
    assert manifest.quantization.scheme == "int8"
    assert manifest.provenance.licence not in ("", "not stated")
    assert all(source.licence and source.attribution for source in manifest.provenance.data)


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_stream_contract(name: str) -> None:
    session = Session(bundled()[name])
    manifest = session.manifest

    def make_input(batch: int, frames: int, seed: int) -> npt.NDArray[np.generic]:
        rng = np.random.default_rng(seed)
        shape = (batch, frames, manifest.timing.hop)
        if manifest.input == "bytes":
            return rng.integers(0, 256, shape)
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    verify_stream_contract(
        Backend(session.step, manifest.timing.chunk, 1, None),
        manifest.state_spec,
        manifest.timing,
        make_input,
        tolerance=1e-6,
        frames=120,
        long_steps=300,
    )


@pytest.mark.parametrize("name", ["words-gru", "words-transformer"])
def test_keywords_of_the_clip_are_found(name: str) -> None:
    path = clip("words.tsv")
    assert path is not None
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    with Stream(bundled()[name]) as model:
        events = [*model.push(samples()), *model.flush()]
    heard = [(e.label, e.time) for e in events if isinstance(e, Keyword)]
    found = [
        any(
            label == row["label"] and float(row["start"]) <= time <= float(row["end"]) + 0.75
            for label, time in heard
        )
        for row in rows
    ]
    assert sum(found) >= len(rows) - 1, heard
    assert len(heard) <= len(rows) + 1, heard


def test_a_word_cut_at_its_end_is_still_found() -> None:
    """F32: flush gives the model's answer the time it needs."""
    path = clip("words.tsv")
    assert path is not None
    with path.open(encoding="utf-8", newline="") as stream:
        row = next(r for r in csv.DictReader(stream, delimiter="\t") if r["label"] == "alexa")
    audio = samples()[: round(float(row["end"]) * 16000)]
    for name in ("words-gru", "words-transformer"):
        with Stream(bundled()[name]) as model:
            events = [*model.push(audio), *model.flush()]
        assert [e.label for e in events if isinstance(e, Keyword)][-1] == "alexa"


def test_voice_activity_follows_the_words() -> None:
    with Stream(bundled()["vad-gru"]) as model:
        events = [e for e in [*model.push(samples()), *model.flush()] if isinstance(e, Speech)]
    assert [e.active for e in events] == [True, False] * (len(events) // 2)
    assert 6 <= sum(e.active for e in events) <= 10


@pytest.mark.parametrize("name", ["bytes-gru", "bytes-transformer"])
def test_text_is_foreseen_better_than_by_chance(name: str) -> None:
    """An order-0 model of English needs more than four bits a byte."""
    path = clip("passage.txt")
    assert path is not None
    text = path.read_bytes()
    with Stream(bundled()[name]) as model:
        tokens = [e for e in [*model.push(text), *model.flush()] if isinstance(e, Token)]
    assert "".join(t.text for t in tokens) == text.decode()
    bits = sum(t.bits for t in tokens if t.bits is not None)
    assert bits / len(text) < 3.0


def test_silence_and_noise_fire_nothing() -> None:
    """F28, F42: zeros, hiss and full-scale noise are no words, and the state stays finite."""
    rng = np.random.default_rng(0)
    quiet = np.zeros(16000 * 5, np.float32)
    noise = rng.uniform(-1, 1, 16000 * 5).astype(np.float32)
    hiss = (1e-3 * rng.standard_normal(16000 * 5)).astype(np.float32)
    for name in ("words-gru", "words-transformer"):
        with Stream(bundled()[name]) as model:
            events = [e for part in (quiet, noise, hiss, quiet) for e in model.push(part)]
            assert events == []
            assert all(np.isfinite(v).all() for v in model.state["tensors"].values())  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_fits_in_memory(name: str) -> None:
    """A streaming process, model, runtime and all."""
    source = clip("passage.txt" if name.startswith("bytes") else "words.wav")
    kind = "--text" if name.startswith("bytes") else "--wav"
    program = (
        "import sys; from edgeseq.cli import main; from edgeseq.profile.memory import peak_rss\n"
        f"try: main(['stream', {name!r}, {kind!r}, {str(source)!r}])\n"
        "except SystemExit: pass\n"
        "print('peak', peak_rss(), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    peak = int(run.stderr.rsplit("peak", 1)[1])
    assert peak < PEAK_RSS_MIB * 2**20, f"{peak / 2**20:.1f} MiB"
