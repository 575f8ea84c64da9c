"""Runs exported keyword models over recordings through the runtime, and scores what comes out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from edgeseq import Keyword, Session
from edgeseq.decode import KeywordDecoder
from edgeseq.decoding import KeywordDecoding
from edgeseq.training.losses import SMOOTH_FRAMES

__all__ = [
    "clip_label", "command_class", "command_clips", "detections", "logits_of", "mix_at", "read",
]  # fmt: skip

Samples = npt.NDArray[np.float32]
RATE = 16000
COMMANDS = ("yes", "no", "up", "down")
LEAD_SECONDS, TAIL_SECONDS = 0.2, 0.5


def read(path: Path) -> Samples:
    """A recording as mono float32 at 16 kHz."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")


def logits_of(session: Session, samples: Samples, lead: float = LEAD_SECONDS) -> Samples:
    """Logits `[T, V]` of a recording as one stream, with silence before and after."""
    hop = session.manifest.timing.step_samples
    padded = np.concatenate(
        [np.zeros(round(lead * RATE)), samples, np.zeros(round(TAIL_SECONDS * RATE))]
    ).astype(np.float32)
    stepper = session.stepper()
    frames = padded[: len(padded) // hop * hop].reshape(-1, 1, 1, hop)
    return np.concatenate([stepper.step(frame)[0].copy() for frame in frames])


def clip_label(logits: Samples) -> int:
    """The label of a clip: the keyword that a frame gives at least half its probability, else
    unknown if a frame does, else silence; each over the mean of the newest logits.
    """
    kernel = np.ones(SMOOTH_FRAMES) / SMOOTH_FRAMES
    smooth = np.apply_along_axis(np.convolve, 0, logits, kernel)[: len(logits)]
    smooth = np.exp(smooth - smooth.max(axis=1, keepdims=True))
    best = (smooth / smooth.sum(axis=1, keepdims=True)).max(axis=0)
    keyword = 2 + int(best[2:].argmax())
    if best[keyword] >= 0.5:
        return keyword
    return int(best[1] >= 0.5)


def command_class(label: str) -> str:
    """The class of a label in the task of six: a command, silence, or else unknown."""
    return label if label in (*COMMANDS, "_silence_") else "_unknown_"


def command_clips(folder: Path) -> list[tuple[Path, str]]:
    """Path and class of the official Speech Commands test clips of the six classes."""
    with (folder / "clips.tsv").open(encoding="utf-8", newline="") as stream:
        return [
            (folder / row["path"], command_class(row["word"]))
            for row in csv.DictReader(stream, delimiter="\t")
            if row["official_set"] == "testing"
            and (row["test12_label"] in ("_unknown_", "_silence_") or row["word"] in COMMANDS)
        ]


def detections(session: Session, logits: Samples, thresholds: dict[str, float]) -> list[Keyword]:
    """What the shipped decoder emits for these logits at other thresholds."""
    own = session.manifest.decoding
    assert isinstance(own, KeywordDecoding)
    settings = KeywordDecoding(thresholds, own.smoothing_s, own.refractory_s, own.flush_s)
    decoder = KeywordDecoder(session.manifest.labels, session.manifest.timing, settings)
    events = [*decoder.push(logits, np.empty(0)), *decoder.flush()]
    return [event for event in events if isinstance(event, Keyword)]


def mix_at(snr_db: float, speech: Samples, noise: Samples, loud: tuple[int, int]) -> Samples:
    """Speech with noise so that the loud part of the speech is `snr_db` above the noise."""
    first, last = loud
    power = float(np.square(speech[first:last]).mean())
    level = float(np.square(noise).mean()) + 1e-12
    return speech + noise * np.float32(np.sqrt(power / level * 10 ** (-snr_db / 10)))


def joined(parts: Iterable[Samples], pause: float = 0.3) -> Iterable[Samples]:
    """The parts, each followed by a pause."""
    gap = np.zeros(round(pause * RATE), np.float32)
    for part in parts:
        yield part
        yield gap


def rate_per_hour(count: int, seconds: float) -> float:
    """Events per hour of audio."""
    return count * 3600 / seconds if seconds else float("nan")


def percent(good: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """Share of true values in percent."""
    return 100 * float(np.mean(good)) if len(good) else float("nan")
