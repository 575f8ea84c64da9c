"""Reads folders of recordings: which clip has which label, speaker and split.

Readers know the layouts people have: Speech Commands as published (or the selection of it with a
`clips.tsv`), folders named by label, the spoken digits, and any tree of recordings.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, MissingExtraError
from .config import Corpus

__all__ = ["READERS", "Clip", "ClipStore", "read_corpus"]

logger = logging.getLogger(__name__)

AUDIO = {".wav", ".flac", ".ogg", ".mp3"}
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: its file, its label ("" when it has none), speaker and split."""

    path: Path
    label: str
    speaker: str
    split: str


def _audio_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO)


def _lines(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    return {line.rsplit(".", 1)[0] for line in path.read_text(encoding="utf-8").split()}


def _speech_commands(folder: Path, corpus: Corpus) -> Iterable[Clip]:
    """`<word>/<speaker>_nohash_<n>` by the official lists; `_silence_` clips are for tests."""
    test, validation = _lines(folder / "testing_list.txt"), _lines(folder / "validation_list.txt")
    for path in _audio_below(folder):
        word, stem = path.parent.name, path.stem
        if word == "_background_noise_":
            continue
        name = f"{word}/{stem}"
        split = TEST if name in test or word == "_silence_" else TRAIN
        yield Clip(
            path, word, stem.split("_nohash_")[0], VALIDATION if name in validation else split
        )


def _digits(folder: Path, corpus: Corpus) -> Iterable[Clip]:
    """`<digit>_<speaker>_<take>`; the speakers held out are the test."""
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for path in _audio_below(folder):
        digit, speaker, _ = path.stem.split("_")
        split = TEST if speaker in corpus.hold_out else TRAIN
        yield Clip(path, names[int(digit)], speaker, split)


def _labelled(folder: Path, corpus: Corpus) -> Iterable[Clip]:
    """`<label>/<clip>`; the file stem up to the first `_` is taken as the speaker."""
    for path in _audio_below(folder):
        yield Clip(path, path.parent.name, path.stem.split("_")[0], TRAIN)


def _recordings(folder: Path, corpus: Corpus) -> Iterable[Clip]:
    """Any tree of recordings without labels; a tenth, by hash of the name, is for validation."""
    for path in _audio_below(folder):
        name = path.relative_to(folder).as_posix()
        tenth = hashlib.sha1(name.encode()).digest()[0] < 26
        held = any(part in name for part in corpus.hold_out)
        split = TEST if held else VALIDATION if tenth else TRAIN
        yield Clip(path, "", path.parent.name, split)


READERS: dict[str, Callable[[Path, Corpus], Iterable[Clip]]] = {
    "speech_commands": _speech_commands,
    "digits": _digits,
    "labelled": _labelled,
    "recordings": _recordings,
}


def find_below(roots: list[Path], path: str) -> Path:
    """The first root that holds `path`.

    Raises:
        ConfigError: none does.
    """
    for root in roots:
        if (root / path).exists():
            return root
    raise ConfigError(
        f"{path!r} is in none of {', '.join(map(str, roots)) or 'no data folder'}; name the folder "
        "that holds it with --data (recipes/README.md says where each set comes from)"
    )


def read_corpus(roots: list[Path], corpus: Corpus, recipe_folder: Path) -> list[Clip]:
    """The clips of one corpus, in a fixed order.

    Raises:
        ConfigError: the folder or the split file is missing, empty, or the reader is unknown.
    """
    root = find_below(roots, corpus.path)
    folder = root / corpus.path
    if corpus.reader not in READERS:
        raise ConfigError(f"data.reader is {corpus.reader!r}; allowed: {', '.join(READERS)}")
    clips = list(READERS[corpus.reader](folder, corpus))
    if not clips:
        raise ConfigError(f"no recordings ({', '.join(sorted(AUDIO))}) in {folder}")
    if corpus.include:
        wanted = corpus.include
        clips = [c for c in clips if c.path.relative_to(folder).as_posix().startswith(wanted)]
    if corpus.splits:
        clips = _apply_splits(clips, recipe_folder / corpus.splits, root)
    return [Clip(c.path, corpus.map.get(c.label, c.label), c.speaker, c.split) for c in clips]


def _apply_splits(clips: list[Clip], table: Path, root: Path) -> list[Clip]:
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            rows = {row["path"]: row for row in csv.DictReader(stream, delimiter="\t")}
    except OSError as error:
        raise ConfigError(f"split file {table} cannot be read: {error.strerror}") from error
    placed = []
    for clip in clips:
        # A clip that the table does not name (an addition) must not slip into a test.
        row = rows.get(clip.path.relative_to(root).as_posix())
        if row is not None:
            placed.append(Clip(clip.path, clip.label, row["speaker"], row["split"]))
    return placed


class ClipStore:
    """All samples of many clips in one memory-mapped int16 file, decoded once.

    Trainings that run at the same time share the pages, and a later run starts at once.
    """

    def __init__(self, clips: list[Clip], sample_rate: int, cache: Path) -> None:
        """Open the store of exactly these files, decoding them first when needed."""
        self.clips = clips
        key = hashlib.sha256(str(sample_rate).encode())
        for clip in clips:
            info = clip.path.stat()
            key.update(f"{clip.path}\0{info.st_size}\0{info.st_mtime_ns}\n".encode())
        base = cache / f"clips-{key.hexdigest()[:16]}"
        if not base.with_suffix(".npz").is_file():
            cache.mkdir(parents=True, exist_ok=True)
            _decode(clips, sample_rate, base)
        self.offsets: npt.NDArray[np.int64] = np.load(base.with_suffix(".npz"))["offsets"]
        self.samples: npt.NDArray[np.int16] = np.memmap(base.with_suffix(".i16"), np.int16, "r")

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.clips)

    def length(self, index: int) -> int:
        """Samples of clip `index`."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def read(self, index: int, start: int = 0, count: int | None = None) -> npt.NDArray[np.float32]:
        """Samples of clip `index` in [-1, 1], from `start`, at most `count`."""
        first, last = int(self.offsets[index]) + start, int(self.offsets[index + 1])
        last = last if count is None else min(last, first + count)
        return self.samples[first:last].astype(np.float32) / np.float32(32768)


def _decode(clips: list[Clip], sample_rate: int, base: Path) -> None:
    """Write the store; a file that cannot be decoded becomes an empty clip and is named."""
    try:
        import soundfile
        import soxr
        from rich.progress import track
    except ImportError as error:
        raise MissingExtraError(error.name or "soundfile", "train", "reading recordings") from error
    offsets = [0]
    partial = base.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as out:
        for clip in track(clips, description="decoding recordings", transient=True):
            try:
                audio, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                logger.warning("left out %s: %s", clip.path, error)
                offsets.append(offsets[-1])
                continue
            mono = audio.mean(axis=1)
            if rate != sample_rate:
                mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
            pcm = np.clip(np.round(mono * 32767), -32768, 32767).astype("<i2")
            out.write(pcm.tobytes())
            offsets.append(offsets[-1] + len(pcm))
    partial.replace(base.with_suffix(".i16"))
    np.savez(base.with_suffix(".npz"), offsets=np.array(offsets, dtype=np.int64))
