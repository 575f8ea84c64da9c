"""How well a model does its task on given data, as one number that others can be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..events import Event
from ..manifest import Manifest
from ..runtime import Session
from ..sources import Source, open_audio, open_text
from ..sources.resample import Resampler
from ..stream import Stream
from .bits import BitsPerByte
from .clips import clip_label, logits_of, scores_of, smooth_frames
from .scoring import Interval, frame_accuracy, read_labels, score_words

__all__ = ["Data", "Score", "evaluate", "read_data"]

AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of quality.

    Attributes:
        value: percent (more is better), or bits per byte (less is better).
        bits: which of the two it is.
        words: the figure as it is shown.
    """

    value: float
    bits: bool
    words: str

    def loss(self, of: Score) -> float:
        """What `of` loses against this one: points of percent, or percent of the bits per byte."""
        return 100 * (of.value / self.value - 1) if self.bits else self.value - of.value


@dataclass(frozen=True, slots=True)
class Data:
    """What models are judged on.

    Attributes:
        file: a recording or a text; None for a folder of clips.
        truth: what is right in the recording.
        clips: label and samples `[n]` of each clip, at the rate of the model.
        words: what it is, for a caption.
    """

    file: Path | None
    truth: tuple[Interval, ...]
    clips: tuple[tuple[str, npt.NDArray[np.float32]], ...]
    words: str

    def part(self, most: int) -> Data:
        """The same with at most `most` clips, evenly chosen."""
        if len(self.clips) <= most:
            return self
        at = np.linspace(0, len(self.clips) - 1, most).astype(int)
        return Data(None, (), tuple(self.clips[i] for i in at), f"{most} of the clips")


def read_data(path: Path, labels: str | None, manifest: Manifest) -> Data:
    """A recording with its labels, a text, or a folder of clips in a folder for each label.

    Raises:
        ConfigError: the kind of data does not fit the model, or labels are missing.
        AudioError: a clip cannot be read.
    """
    text = manifest.input == "bytes"
    if path.is_dir():
        if manifest.task != "keyword" or labels is not None:
            raise ConfigError(
                f"{path}: a folder of labelled clips is for keyword models and takes no --labels; "
                f"this is a {manifest.task} model"
            )
        return _read_clips(path, manifest)
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    if text and labels is not None:
        raise ConfigError("--labels goes with audio; text is scored by bits per byte")
    if not text and labels is None:
        raise ConfigError(
            f"{path}: a recording needs --labels TSV (start, end, label), or give a folder with a "
            "folder of clips for each label"
        )
    truth = tuple(read_labels(labels)) if labels is not None else ()
    if manifest.task == "keyword" and not any(i.label in manifest.labels[2:] for i in truth):
        raise ConfigError(
            f"{labels}: holds none of the model's words: {', '.join(manifest.labels[2:])}"
        )
    return Data(path, truth, (), path.name)


def _read_clips(folder: Path, manifest: Manifest) -> Data:
    clips = []
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        for file in sorted(p for p in inner.iterdir() if p.suffix.lower() in AUDIO):
            clips.append((inner.name, _samples(file, manifest)))
    if not clips:
        raise ConfigError(
            f"{folder}: holds no clips; they lie in a folder for each label, such as yes/1.wav"
        )
    return Data(None, (), tuple(clips), f"{len(clips):,} clips of {folder.name}")


def _samples(file: Path, manifest: Manifest) -> npt.NDArray[np.float32]:
    own = manifest.timing.sample_rate
    with closing(open_audio(str(file))) as source:
        parts = [np.asarray(block.samples, np.float32).copy() for block in source.blocks()]
        rate = source.sample_rate
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if rate and own and rate != own:
        resampler = Resampler(rate, own)
        samples = np.concatenate([resampler.push(samples), resampler.flush()])
    return np.asarray(samples, np.float32)


def evaluate(session: Session, data: Data) -> Score:
    """The score of a model on data that `read_data` gave for it.

    Of clips, the share with the right answer; a label that no clip has is the answer unknown.
    """
    manifest = session.manifest
    if data.clips:
        wanted = [_known(manifest, label) for label, _ in data.clips]
        asked = set(wanted)
        answers = (_answer(session, samples) for _, samples in data.clips)
        right = [
            (answer if answer in asked else manifest.labels[1]) == label
            for label, answer in zip(wanted, answers, strict=True)
        ]
        share = 100 * float(np.mean(right))
        return Score(share, False, f"{share:.2f} %")
    source: Source
    if manifest.task == "bytes":
        with closing(open_text(str(data.file))) as source:
            bits = BitsPerByte()
            for event in Stream(session).events(source):
                bits.push((event,))
        if bits.value is None:
            raise ConfigError(f"{data.file}: too short a text to score")
        return Score(bits.value, True, f"{bits.value:.4f}")
    stream = Stream(session)
    with closing(open_audio(str(data.file))) as source:
        events = list(stream.events(source))
    return _judged(manifest, events, data.truth, stream.seconds)


def _judged(
    manifest: Manifest, events: Iterable[Event], truth: Sequence[Interval], seconds: float
) -> Score:
    if manifest.task == "vad":
        share = 100 * (frame_accuracy(events, truth, seconds) or 0.0)
        return Score(share, False, f"{share:.2f} %")
    found = score_words(events, truth, manifest.labels[2:])
    # Words found and false alarms in one number (F1).
    share = 100 * 2 * found.found / (found.total + found.found + found.false_alarms)
    return Score(share, False, str(found))


def _known(manifest: Manifest, label: str) -> str:
    """The label that a model should answer with; what it never learned is unknown."""
    if label in manifest.labels:
        return label
    return manifest.labels[0] if label == "_background_noise_" else manifest.labels[1]


def _answer(session: Session, samples: npt.NDArray[np.float32]) -> str:
    """The keyword with the highest smoothed score where that is high enough, else no keyword."""
    logits = logits_of(session, samples)
    frames = min(len(logits), smooth_frames(session))
    # Full windows only: one that is filled up with nothing speaks for every label alike.
    best = scores_of(logits, frames)[frames - 1 :].max(axis=0)
    return session.manifest.labels[clip_label(best)]
