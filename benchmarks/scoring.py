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
from edgeseq.profile.clips import clip_label, logits_of, scores_of, smooth_frames

__all__ = [
    "clip_label", "command_class", "command_clips", "detections", "logits_of", "mix_at", "peaks",
    "read", "scores_of", "smooth_frames",
]  # fmt: skip

Samples = npt.NDArray[np.float32]
RATE = 16000
COMMANDS = ("yes", "no", "up", "down")


def read(path: Path) -> Samples:
    """A recording as mono float32 at 16 kHz."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")


def peaks(scores: Samples, lowest: float, apart: int) -> list[float]:
    """The heights of the peaks in `scores` `[T]`, highest first: what a decoder fires on.

    Of two that are closer than `apart` frames the lower one is left out, as in the refractory time.
    """
    found: list[float] = []
    taken = np.zeros(len(scores), bool)
    for at in np.argsort(-scores, kind="stable"):
        if scores[at] <= lowest:
            break
        if not taken[at]:
            found.append(float(scores[at]))
            taken[max(0, at - apart + 1) : at + apart] = True
    return found


def command_class(label: str) -> str:
    """The class of a label in the task of six: a command, silence, or else unknown."""
    return label if label in (*COMMANDS, "_silence_") else "_unknown_"


def command_clips(folder: Path, split: str = "testing") -> list[tuple[Path, str]]:
    """Path and class of the official Speech Commands clips of the six classes.

    The official test names its unknown words; of the `validation` split all words are taken, and
    there is no silence.
    """
    with (folder / "clips.tsv").open(encoding="utf-8", newline="") as stream:
        return [
            (folder / row["path"], command_class(row["word"]))
            for row in csv.DictReader(stream, delimiter="\t")
            if row["official_set"] == split
            and (
                split != "testing"
                or row["test12_label"] in ("_unknown_", "_silence_")
                or row["word"] in COMMANDS
            )
        ]


def detections(session: Session, logits: Samples) -> list[Keyword]:
    """What the shipped decoder emits for these logits."""
    settings = session.manifest.decoding
    assert isinstance(settings, KeywordDecoding)
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
