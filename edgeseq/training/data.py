"""Endless batches for each task, made from decoded recordings or text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..errors import ConfigError
from ..models import LogMelConfig
from .augment import active_region, change_speed, coloured_noise, finish_batch
from .config import Corpus, Recipe
from .corpora import TRAIN, Clip, ClipStore, find_below, read_corpus
from .mining import HardStretches
from .tasks import NEGATIVE, SILENCE, UNKNOWN

__all__ = ["AudioCorpora", "Batch", "ByteBatches", "KeywordBatches", "VadBatches"]

Batch = dict[str, Tensor]
Samples = npt.NDArray[np.float32]

PARTIAL_P = 0.08
TAIL_SECONDS = 0.25
LONGEST_WORD_S = 1.4
ANSWER_BEFORE_END_S = 0.22
"""A keyword may be answered from this long before its region ends, which keeps 0.12 s of margin."""
EARLY_BEFORE_ANSWER_S = 0.1
"""Frames up to this long before that hold part of a word, which is no keyword yet."""
SPEECH_BELOW_PEAK_DB = 32.0
MADE_UP = 64
"""Made-up noises that a set of batches chooses from; the next epoch makes others."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """The clips of one corpus and split, by label."""

    corpus: Corpus
    by_label: dict[str, list[int]]
    label_shares: npt.NDArray[np.float64]
    indices: list[int]


class AudioCorpora:
    """All recordings of a recipe, decoded, split and grouped."""

    def __init__(self, recipe: Recipe, roots: list[Path], cache: Path) -> None:
        """Read every audio corpus of the recipe below one of `roots`."""
        if not isinstance(recipe.model.frontend, LogMelConfig):
            raise ConfigError("an audio task needs model.frontend.kind = 'logmel'")
        self.rate = recipe.model.frontend.sample_rate
        found: list[tuple[Corpus, Clip]] = [
            (corpus, clip)
            for corpus in recipe.corpora
            for clip in read_corpus(roots, corpus, recipe.folder)
        ]
        self.store = ClipStore([clip for _, clip in found], self.rate, cache)
        self.corpus_of = [corpus for corpus, _ in found]
        self._regions: dict[int, tuple[int, int]] = {}
        self._unjudged = {
            id(corpus): np.array([label in corpus.holds for label in recipe.labels])
            for corpus in recipe.corpora
        }

    def pools(self, split: str, roles: tuple[str, ...]) -> list[_Pool]:
        """The non-empty corpora of these roles in one split; empty clips are left out."""
        grouped: dict[int, dict[str, list[int]]] = {}
        for i, clip in enumerate(self.store.clips):
            corpus = self.corpus_of[i]
            if (
                clip.split == split
                and corpus.role in roles
                and self.store.length(i) > self.rate // 10
            ):
                grouped.setdefault(id(corpus), {}).setdefault(clip.label, []).append(i)
        by_id = {id(corpus): corpus for corpus in self.corpus_of}
        return [
            _Pool(by_id[key], labels, _shares(labels), [i for g in labels.values() for i in g])
            for key, labels in grouped.items()
        ]

    def unjudged(self, index: int) -> npt.NDArray[np.bool_]:
        """Which of the recipe's labels a clip may hold without our knowing, `[V]`."""
        return self._unjudged[id(self.corpus_of[index])]

    def word(self, index: int) -> Samples:
        """The loud part of a clip; where the clip is one word, no longer than words are."""
        if index not in self._regions:
            one_word = self.corpus_of[index].role == "words"
            self._regions[index] = active_region(
                self.store.read(index), self.rate, LONGEST_WORD_S if one_word else None
            )
        first, last = self._regions[index]
        return self.store.read(index, first, last - first)


def _shares(by_label: dict[str, list[int]]) -> npt.NDArray[np.float64]:
    """Chance of each label: the root of its clip count, between flat and as recorded."""
    roots = np.sqrt([len(indices) for indices in by_label.values()])
    return np.asarray(roots / roots.sum())


class _AudioBatches(IterableDataset[Batch]):
    """What the audio tasks share: choosing clips, placing them, mixing."""

    def __init__(self, recipe: Recipe, corpora: AudioCorpora, split: str, seed: int) -> None:
        super().__init__()
        self.recipe, self.corpora, self.seed = recipe, corpora, seed
        front = recipe.model.frontend
        assert isinstance(front, LogMelConfig)
        self.hop, self.rate = front.hop, front.sample_rate
        self.frames = round(recipe.augment.seconds * self.rate / self.hop)
        self.length = self.frames * self.hop
        self.pools = [
            p
            for p in corpora.pools(split, ("words", "speech", "noise", "music"))
            if p.corpus.weight > 0
        ]
        if not self.pools:
            raise ConfigError(f"the recipe has no recordings in its {split} split")
        weights = np.array([p.corpus.weight for p in self.pools])
        self.shares = weights / weights.sum()
        self.noises = [i for p in corpora.pools(split, ("noise", "music")) for i in p.indices]
        self.voices = [i for p in corpora.pools(split, ("speech",)) for i in p.indices]
        self.rooms = self._load_rooms()

    def _load_rooms(self) -> Tensor | None:
        rooms = [i for p in self.corpora.pools(TRAIN, ("room",)) for i in p.indices]
        if not rooms:
            return None
        table = np.zeros((len(rooms), self.length), np.float32)
        for row, index in zip(table, rooms, strict=True):
            response = self.corpora.store.read(index, 0, self.rate // 2)
            start = int(np.abs(response).argmax())
            row[: len(response) - start] = response[start:] / np.sqrt(np.square(response).sum())
        return torch.from_numpy(table)

    @cached_property
    def _made_up(self) -> Samples:
        """Made-up noises `[MADE_UP, 4 N]`: as long as a few clips, since making one takes long."""
        rng = np.random.default_rng((self.seed, 1))
        made = [coloured_noise(4 * self.length, self.rate, rng) for _ in range(MADE_UP)]
        return np.stack(made)

    def made_up(self, rng: np.random.Generator) -> Samples:
        """A random stretch of a made-up noise."""
        start = int(rng.integers(3 * self.length))
        return self._made_up[rng.integers(MADE_UP), start : start + self.length]

    def stretch(self, index: int, rng: np.random.Generator) -> Samples:
        """A random stretch of a recording, repeated when it is too short."""
        store = self.corpora.store
        spare = store.length(index) - self.length
        if spare <= 0:
            return np.resize(store.read(index), self.length)
        return store.read(index, int(rng.integers(spare)), self.length)

    def mixed(self, clean: Samples, levels: Samples, rng: np.random.Generator) -> Tensor:
        """Noise, room, band and level for placed clips `[B, N]` with RMS `levels` `[B]`."""
        config, batch = self.recipe.augment, len(clean)
        noise = np.zeros_like(clean)
        gain = np.zeros(batch, np.float32)
        for row in range(batch):
            if self.noises and rng.random() < config.noise_p:
                noise[row] = self._background(rng)
                power = float(np.sqrt(np.square(noise[row]).mean())) + 1e-6
                wanted = max(float(levels[row]), 1e-3) * 10 ** (-rng.uniform(*config.snr_db) / 20)
                gain[row] = wanted / power
        rooms = 0 if self.rooms is None else len(self.rooms)
        in_room = np.where(
            rng.random(batch) < config.room_p, rng.integers(0, max(1, rooms), batch), -1
        )
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return finish_batch(
            torch.from_numpy(clean), torch.from_numpy(noise), torch.from_numpy(gain), self.rooms,
            torch.from_numpy(in_room if rooms else np.full(batch, -1)), config, self.rate,
            generator,
        ).reshape(batch, self.frames, self.hop)  # fmt: skip

    def _background(self, rng: np.random.Generator) -> Samples:
        """Other people talking, made-up noise, or one or two recordings of noise or music."""
        config = self.recipe.augment
        if self.voices and rng.random() < config.babble_p:
            return self.stretch(self.voices[rng.integers(len(self.voices))], rng)
        if rng.random() < config.coloured_p:
            return self.made_up(rng)
        heard = self.stretch(self.noises[rng.integers(len(self.noises))], rng)
        if rng.random() < config.overlay_p:
            heard = heard + self.stretch(self.noises[rng.integers(len(self.noises))], rng)
        return heard[::-1] if rng.random() < config.reverse_p else heard

    def batch(self, rng: np.random.Generator) -> Batch:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end, the same for the same seed."""
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.batch(rng)


class KeywordBatches(_AudioBatches):
    """Stretches that hold one word, other speech, or noise.

    A batch has `audio` `[B, T, hop]`, `target` `[B]`, `fresh` `[B]`: whether the row starts a new
    stream or goes on from the same row of the batch before; and `answer` `[B]`: the first frame in
    which the keyword may be answered, 0 where any frame may. Frames before `early` `[B]` must not
    answer, since the word is not over. `unjudged` `[B, V]` says which keywords the row may hold
    without our knowing.
    """

    FRESH_P = 0.5
    hard: HardStretches | None = None
    """Where a model has heard keywords that are none; `augment.hard_p` says how often they come."""

    def batch(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        size = self.recipe.optimise.batch
        clean = np.zeros((size, self.length), np.float32)
        levels = np.full(size, 0.02, np.float32)
        target = np.full(size, NEGATIVE, np.int64)
        answer = np.zeros(size, np.int64)
        unjudged = np.zeros((size, len(self.recipe.labels)), bool)
        fresh = rng.random(size) < self.FRESH_P
        per_second = self.rate / self.hop
        for row, choice in enumerate(rng.choice(len(self.pools), size, p=self.shares)):
            pool = self.pools[choice]
            label = list(pool.by_label)[rng.choice(len(pool.by_label), p=pool.label_shares)]
            index = pool.by_label[label][rng.integers(len(pool.by_label[label]))]
            if pool.corpus.role == "words":
                clean[row], levels[row], target[row], end = self._word(
                    index, label, bool(fresh[row]), rng
                )
                if target[row] > UNKNOWN:
                    answer[row] = max(0, int((end / self.rate - ANSWER_BEFORE_END_S) * per_second))
            else:
                clean[row], heard = self._other(index, pool, rng)
                unjudged[row] = self.corpora.unjudged(heard)
                sounding = max(1, np.count_nonzero(clean[row]))
                levels[row] = np.sqrt(np.square(clean[row]).sum() / sounding)
                if pool.corpus.role == "noise":
                    target[row] = SILENCE
        return {
            "audio": self.mixed(clean, levels, rng),
            "target": torch.from_numpy(target),
            "fresh": torch.from_numpy(fresh),
            "answer": torch.from_numpy(answer),
            "early": torch.from_numpy(answer) - round(EARLY_BEFORE_ANSWER_S * per_second),
            "unjudged": torch.from_numpy(unjudged),
        }

    def _other(self, index: int, pool: _Pool, rng: np.random.Generator) -> tuple[Samples, int]:
        """A stretch without a keyword, and the clip that it comes from."""
        config = self.recipe.augment
        if pool.corpus.role == "noise" and rng.random() < config.coloured_p:
            return self.made_up(rng), index
        if pool.corpus.role != "noise" and self.hard and rng.random() < config.hard_p:
            clip, start = self.hard.draw(rng)
            part = self.corpora.store.read(clip, start, self.length)
            return np.pad(part, (0, self.length - len(part))), clip
        return self._changed(index, pool, rng), index

    def _changed(self, index: int, pool: _Pool, rng: np.random.Generator) -> Samples:
        """A stretch of a clip, changed so that no recording is heard twice."""
        config = self.recipe.augment
        heard = self.stretch(index, rng)
        if pool.corpus.role == "music":
            return heard
        if rng.random() < config.overlay_p:
            more = pool.indices[rng.integers(len(pool.indices))]
            heard = heard + np.float32(rng.uniform(0.2, 1.0)) * self.stretch(more, rng)
        heard = np.resize(change_speed(heard, rng.uniform(*config.speech_speed)), self.length)
        if rng.random() < config.reverse_p:
            heard = heard[::-1]
        if pool.corpus.role == "noise" or rng.random() >= config.burst_p:
            return heard
        size = min(self.length, round(rng.uniform(*config.burst_seconds) * self.rate))
        start = int(rng.integers(self.length - size + 1))
        burst = np.zeros(self.length, np.float32)
        burst[start : start + size] = heard[start : start + size]
        return burst

    def _word(
        self, index: int, label: str, fresh: bool, rng: np.random.Generator
    ) -> tuple[Samples, float, int, int]:
        """One word at a random place, its level, its target, and the sample where it ends."""
        word = change_speed(self.corpora.word(index), rng.uniform(*self.recipe.augment.speed))
        labels = self.recipe.labels
        target = labels.index(label) if label in labels else UNKNOWN
        if target > UNKNOWN and len(word) > self.rate // 2 and rng.random() < PARTIAL_P:
            # Half a word is not the word: "snow" must not fire "snowboy".
            half = int(0.45 * len(word))
            word, target = (word[:half] if rng.random() < 0.5 else word[-half:]), NEGATIVE
        room = self.length - int(TAIL_SECONDS * self.rate)
        word = word[-room:]
        earliest = 0 if fresh else min(int(0.3 * self.rate), room - len(word))
        start = int(rng.integers(earliest, room - len(word) + 1))
        placed = np.zeros(self.length, np.float32)
        placed[start : start + len(word)] = word
        return placed, float(np.sqrt(np.square(word).mean())), target, start + len(word)


class VadBatches(_AudioBatches):
    """Speech placed in silence, with exact labels from the clean speech before mixing.

    A batch has `audio` `[B, T, hop]` and `target` `[B, T]`: 1 where the frame ends in speech.
    """

    def batch(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        size = self.recipe.optimise.batch
        clean = np.zeros((size, self.length), np.float32)
        levels = np.full(size, 0.02, np.float32)
        target = np.zeros((size, self.frames), np.int64)
        for row, choice in enumerate(rng.choice(len(self.pools), size, p=self.shares)):
            pool = self.pools[choice]
            index = pool.indices[rng.integers(len(pool.indices))]
            if pool.corpus.role in ("noise", "music"):
                clean[row] = self.stretch(index, rng)
                levels[row] = np.sqrt(np.square(clean[row]).mean())
            else:
                clean[row], target[row] = self._speech(index, rng)
                levels[row] = np.sqrt(
                    np.square(clean[row]).sum() / max(1, target[row].sum() * self.hop)
                )
        return {"audio": self.mixed(clean, levels, rng), "target": torch.from_numpy(target)}

    def _speech(
        self, index: int, rng: np.random.Generator
    ) -> tuple[Samples, npt.NDArray[np.int64]]:
        word = change_speed(self.corpora.word(index), rng.uniform(*self.recipe.augment.speed))
        word = word[: self.length]
        labels = speech_frames(word, self.hop)
        start = int(rng.integers(0, (self.length - len(word)) // self.hop + 1))
        placed = np.zeros(self.length, np.float32)
        target = np.zeros(self.frames, np.int64)
        placed[start * self.hop : start * self.hop + len(word)] = word
        target[start : start + len(labels)] = labels[: self.frames - start]
        return placed, target


def speech_frames(samples: Samples, hop: int) -> npt.NDArray[np.int64]:
    """1 for each hop of clean speech that is loud, pauses up to 15 hops (0.15 s) filled."""
    count = len(samples) // hop
    energy = np.square(samples[: count * hop]).reshape(count, hop).mean(axis=1)
    loud = energy >= max(energy.max(initial=0.0) * 10 ** (-SPEECH_BELOW_PEAK_DB / 10), 1e-9)
    at = np.flatnonzero(loud)
    for first, last in itertools.pairwise(at):
        if last - first <= 15:
            loud[first:last] = True
    return np.asarray(loud, dtype=np.int64)


class ByteBatches(IterableDataset[Batch]):
    """Parallel streams of text, each row going on where it stopped in the batch before.

    A batch has `bytes` `[B, T+1, 1]` (int64): the input and, one later, the target.
    """

    def __init__(self, recipe: Recipe, roots: list[Path], split: str, seed: int) -> None:
        """Read the text corpora; the last twentieth of each file is for validation."""
        super().__init__()
        self.recipe, self.seed = recipe, seed
        self.data = read_text(recipe, roots, split)

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end, the same for the same seed."""
        optimise = self.recipe.optimise
        rng = np.random.default_rng(self.seed)
        at = rng.integers(0, len(self.data), optimise.batch)
        span = np.arange(optimise.length + 1)
        while True:
            rows = self.data[(at[:, None] + span) % len(self.data)]
            yield {"bytes": torch.from_numpy(rows.astype(np.int64)[..., None])}
            at = at + optimise.length


def read_text(recipe: Recipe, roots: list[Path], split: str) -> npt.NDArray[np.uint8]:
    """The bytes of one split of every text corpus, joined."""
    parts = []
    for corpus in recipe.corpora:
        path = find_below(roots, corpus.path) / corpus.path
        files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
        for file in files:
            try:
                data = np.fromfile(file, dtype=np.uint8)
            except OSError as error:
                raise ConfigError(f"text corpus {file} cannot be read: {error.strerror}") from error
            cut = len(data) * 19 // 20
            parts.append(data[:cut] if split == TRAIN else data[cut:])
    if not parts:
        raise ConfigError("the recipe names no text; add [[data]] with role = 'text'")
    return np.concatenate(parts)
