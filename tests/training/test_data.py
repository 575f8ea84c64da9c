"""Corpora, splits and batches, on recordings written for the test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from edgeseq.errors import ConfigError
from edgeseq.training.augment import active_region, change_speed, coloured_noise
from edgeseq.training.config import Augment, Corpus, Recipe
from edgeseq.training.corpora import ClipStore, read_corpus
from edgeseq.training.data import (
    AudioCorpora,
    ByteBatches,
    KeywordBatches,
    VadBatches,
    speech_frames,
)
from edgeseq.training.losses import keyword_loss, smoothed_log_p
from edgeseq.training.tasks import NEGATIVE

RATE = 16000


def burst(
    path: Path, hz: float, seconds: float = 1.0, at: float = 0.4, length: float = 0.2
) -> None:
    """A recording of a quiet room with one loud tone in it."""
    rng = np.random.default_rng(int(hz))
    audio = 1e-4 * rng.standard_normal(int(seconds * RATE))
    first, last = int(at * RATE), int((at + length) * RATE)
    audio[first:last] += 0.3 * np.sin(2 * np.pi * hz * np.arange(last - first) / RATE)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two words by three speakers, some talk and some noise."""
    for n, speaker in enumerate(("anna", "bert", "cleo")):
        burst(tmp_path / "words" / "yes" / f"{speaker}_0.wav", 400 + 20 * n)
        burst(tmp_path / "words" / "no" / f"{speaker}_0.wav", 900 + 20 * n)
    for n in range(30):
        burst(tmp_path / "talk" / f"t{n}.wav", 1500 + 5 * n, seconds=4.0, length=3.0)
        burst(tmp_path / "noise" / f"n{n}.wav", 100 + n, seconds=3.0, at=0.0, length=3.0)
    return tmp_path


def recipe(task: str = "keyword", **augment: object) -> Recipe:
    """A small recipe on the recordings of `root`."""
    corpora = [
        {"path": "words", "reader": "labelled", "role": "words", "weight": 0.5},
        {"path": "talk", "reader": "recordings", "role": "speech", "weight": 0.3},
        {"path": "noise", "reader": "recordings", "role": "noise", "weight": 0.2},
    ]
    values = {
        "task": task,
        "labels": ["yes", "no"] if task == "keyword" else [],
        "model": {
            "frontend": {"kind": "logmel", "hop": 160 if task == "vad" else 320},
            "encoder": {"kind": "gru", "hidden": 8, "layers": 1},
        },
        "data": corpora,
        "augment": {"seconds": 1.5, **augment},
        "train": {"batch": 24},
    }
    return Recipe.from_dict(values, Path())


def test_same_seed_same_batches(root: Path, tmp_path: Path) -> None:
    corpora = AudioCorpora(recipe(), [root], tmp_path / "cache")
    first = next(iter(KeywordBatches(recipe(), corpora, "train", 7)))
    again = next(iter(KeywordBatches(recipe(), corpora, "train", 7)))
    other = next(iter(KeywordBatches(recipe(), corpora, "train", 8)))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["audio"], other["audio"])


def test_keyword_batches_hold_what_their_target_says(root: Path, tmp_path: Path) -> None:
    plan = recipe(
        noise_p=0.0, room_p=0.0, band_limit_p=0.0, gain_db=[0.0, 0.0], speed=[1.0, 1.0],
        floor_dbfs=[-90.0, -90.0],
    )  # fmt: skip
    corpora = AudioCorpora(plan, [root], tmp_path / "cache")
    batch = next(iter(KeywordBatches(plan, corpora, "train", 1)))
    assert batch["audio"].shape == (24, 75, 320)
    assert batch["audio"].abs().max() <= 1.0
    seen = set()
    for audio, target in zip(batch["audio"].flatten(1), batch["target"].tolist(), strict=True):
        spectrum = torch.fft.rfft(audio).abs()
        hertz = float(spectrum.argmax()) * RATE / len(audio)
        wanted = {2: (380, 480), 3: (880, 980), NEGATIVE: (1400, 1700), 0: (90, 140)}[target]
        assert wanted[0] <= hertz <= wanted[1]
        seen.add(target)
    assert seen == {0, 2, 3, NEGATIVE}


def test_a_keyword_may_be_answered_only_when_it_is_nearly_over(root: Path, tmp_path: Path) -> None:
    plan = recipe(noise_p=0.0, room_p=0.0, band_limit_p=0.0, floor_dbfs=[-120.0, -120.0])
    batches = KeywordBatches(plan, AudioCorpora(plan, [root], tmp_path / "cache"), "train", 1)
    batch = next(iter(batches))
    assert bool((batch["early"] < batch["answer"]).all())
    for audio, target, answer in zip(
        batch["audio"], batch["target"].tolist(), batch["answer"].tolist(), strict=True
    ):
        if target in (NEGATIVE, 0):
            assert answer == 0
            continue
        power = audio.square().mean(dim=1)
        loud = torch.nonzero(power > power.max() / 100).flatten()
        # The region keeps 0.12 s after the word, and the answer may come 0.22 s before its end.
        seconds = (int(loud[-1]) - answer) * 320 / RATE
        assert 0.02 <= seconds <= 0.18


def test_noise_is_mixed_at_the_wanted_ratio(root: Path, tmp_path: Path) -> None:
    plan = recipe(
        noise_p=1.0, snr_db=[10.0, 10.0], room_p=0.0, band_limit_p=0.0, gain_db=[0.0, 0.0],
        floor_dbfs=[-120.0, -120.0],
    )  # fmt: skip
    batches = KeywordBatches(plan, AudioCorpora(plan, [root], tmp_path / "cache"), "train", 1)
    clean = np.zeros((4, batches.length), np.float32)
    mixed = batches.mixed(clean, np.full(4, 0.1, np.float32), np.random.default_rng(0))
    power = mixed.flatten(1).square().mean(dim=1)
    torch.testing.assert_close(
        10 * torch.log10(0.1**2 / power), torch.full((4,), 10.0), atol=0.1, rtol=0
    )


def test_vad_labels_cover_the_speech_exactly(root: Path, tmp_path: Path) -> None:
    plan = recipe("vad", noise_p=0.0, room_p=0.0, band_limit_p=0.0, floor_dbfs=[-120.0, -120.0])
    corpora = AudioCorpora(plan, [root], tmp_path / "cache")
    batch = next(iter(VadBatches(plan, corpora, "train", 1)))
    level = batch["audio"].square().mean(dim=2)
    speech = batch["target"].bool()
    assert 0.05 < speech.float().mean() < 0.9
    # Where a frame is labelled speech it is loud; rows of noise alone carry no label at all.
    assert level[speech].quantile(0.05) > 50 * level[~speech].quantile(0.2)


def test_pauses_inside_speech_are_filled() -> None:
    samples = np.ones(160 * 40, np.float32) * 0.1
    samples[160 * 10 : 160 * 20] = 0.0
    samples[160 * 30 :] = 0.0
    assert speech_frames(samples, 160).tolist() == [1] * 30 + [0] * 10


def test_the_loud_part_is_found_and_speed_changes_length() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[6000:9000] = 0.2
    first, last = active_region(samples, RATE)
    assert 6000 - 0.16 * RATE <= first <= 6000
    assert 9000 <= last <= 9000 + 0.16 * RATE
    assert len(change_speed(samples, 1.25)) == 12800


def test_a_long_loud_part_is_narrowed_to_what_is_loudest() -> None:
    samples = np.full(3 * RATE, 0.02, np.float32)
    samples[RATE : 2 * RATE] = 0.2
    assert active_region(samples, RATE) == (0, 3 * RATE)
    first, last = active_region(samples, RATE, 1.4)
    assert RATE - 0.16 * RATE <= first <= RATE
    assert 2 * RATE <= last <= 2.16 * RATE


def test_splits_keep_speakers_apart_and_strangers_out(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "s.tsv"
    table.write_text(
        "path\tspeaker\tsplit\nwords/yes/anna_0.wav\ta\ttrain\nwords/yes/bert_0.wav\tb\ttest\n",
        encoding="utf-8",
    )
    clips = read_corpus([root], Corpus("words", "labelled", "words", splits="s.tsv"), tmp_path)
    assert [(c.speaker, c.split) for c in clips] == [("a", "train"), ("b", "test")]


def test_official_lists_split_speech_commands(tmp_path: Path) -> None:
    """The layout as published: WAV, the two lists, background noise apart."""
    for name in ("yes/aa_nohash_0", "yes/bb_nohash_0", "no/cc_nohash_1", "_background_noise_/hum"):
        burst(tmp_path / "sc" / f"{name}.wav", 300)
    (tmp_path / "sc" / "testing_list.txt").write_text("yes/bb_nohash_0.wav\n")
    (tmp_path / "sc" / "validation_list.txt").write_text("no/cc_nohash_1.wav\n")
    clips = read_corpus([tmp_path], Corpus("sc", "speech_commands", "words"), tmp_path)
    assert {(c.label, c.speaker, c.split) for c in clips} == {
        ("yes", "aa", "train"), ("yes", "bb", "test"), ("no", "cc", "validation"),
    }  # fmt: skip


def test_missing_folder_and_damaged_file_are_named(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="'nowhere' is in none of"):
        read_corpus([root], Corpus("nowhere", "labelled", "words"), tmp_path)
    (root / "words" / "yes" / "dora_0.wav").write_bytes(b"RIFF____WAVE")
    clips = read_corpus([root], Corpus("words", "labelled", "words"), tmp_path)
    store = ClipStore(clips, RATE, tmp_path / "cache")
    assert "dora_0.wav" in caplog.text
    assert store.length([c.path.stem for c in clips].index("dora_0")) == 0


def test_text_batches_go_on_where_they_stopped(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_bytes(bytes(range(32, 127)) * 100)
    plan = Recipe.from_dict(
        {
            "task": "bytes",
            "model": {"frontend": {"kind": "bytes"}, "encoder": {"kind": "gru", "hidden": 8}},
            "data": [{"path": "text", "reader": "text", "role": "text"}],
            "train": {"batch": 3, "length": 10},
        },
        tmp_path,
    )
    stream = iter(ByteBatches(plan, [tmp_path], "train", 1))
    first, second = next(stream)["bytes"], next(stream)["bytes"]
    assert first.shape == (3, 11, 1)
    assert torch.equal(first[:, -1], second[:, 0])


JUDGED = torch.zeros(1, 4, dtype=torch.bool)
"""Nothing but what is known may be said."""


def spoken(*runs: tuple[int, int, int]) -> torch.Tensor:
    """Scores `[1, 40, 4]` that say silence but in runs (first frame, end, label)."""
    logits = torch.zeros(1, 40, 4)
    logits[..., 0] = 9.0
    for first, end, label in runs:
        logits[0, first:end, 0] = 0.0
        logits[0, first:end, label] = 9.0
    return logits


@pytest.mark.parametrize(
    ("runs", "target", "right"),
    [
        ([(24, 34, 2)], 2, True),
        ([(24, 34, 3)], 2, False),
        ([(4, 14, 2)], 2, False),  # before the word is over
        ([(4, 14, 2), (24, 34, 2)], 2, False),  # as well as after
        ([(4, 14, 1), (24, 34, 2)], 2, True),  # part of a word is an unknown word
        ([(12, 18, 2)], 2, False),  # frames between early and answer are free, but no answer
        ([], 2, False),
        ([], NEGATIVE, True),
        ([(4, 14, 1)], NEGATIVE, True),
        ([(4, 14, 3)], NEGATIVE, False),
        ([(4, 14, 3), (20, 34, 1)], NEGATIVE, False),  # "unknown" later does not unsay it
        ([(4, 14, 1)], 0, False),
        ([], 0, True),
    ],
)
def test_keyword_loss_is_low_where_a_detector_would_be_right(
    runs: list[tuple[int, int, int]], target: int, right: bool
) -> None:
    answer = 20 if target > 1 else 0
    loss, judged = keyword_loss(
        smoothed_log_p(spoken(*runs)), torch.tensor([target]), torch.tensor([0]),
        torch.tensor([answer]), torch.tensor([answer - 5]), JUDGED,
    )  # fmt: skip
    assert bool(judged) is right
    assert (float(loss) < 0.1) is right


@pytest.mark.parametrize(("said", "right"), [(2, True), (3, False)])
def test_a_word_that_a_recording_may_hold_is_not_forbidden(said: int, right: bool) -> None:
    unjudged = torch.tensor([[False, False, True, False]])
    rows = torch.tensor([NEGATIVE]), torch.tensor([0]), torch.tensor([0]), torch.tensor([-5])
    loss, judged = keyword_loss(smoothed_log_p(spoken((4, 14, said))), *rows, unjudged)
    assert bool(judged) is right
    assert (float(loss) < 0.1) is right


def holding(*labels: str) -> Recipe:
    """The small recipe, its talk saying we do not know which of `labels`."""
    plan = recipe()
    corpora = [
        dataclasses.replace(c, holds=labels) if c.path == "talk" else c for c in plan.corpora
    ]
    return dataclasses.replace(plan, corpora=tuple(corpora))


def test_only_recordings_that_may_hold_a_word_leave_it_open(root: Path, tmp_path: Path) -> None:
    plan = holding("no")
    batches = KeywordBatches(plan, AudioCorpora(plan, [root], tmp_path / "cache"), "train", 1)
    batch = next(iter(batches))
    audio, hertz = batch["audio"].flatten(1), torch.fft.rfftfreq(batches.length, 1 / RATE)
    talk = (hertz[torch.fft.rfft(audio).abs().argmax(dim=1)] > 1200) & (batch["target"] == NEGATIVE)
    left_open = batch["unjudged"].any(dim=1)
    assert left_open.any()
    assert not left_open.all()
    assert not left_open[batch["target"] != NEGATIVE].any()
    assert talk[left_open].all()
    assert batch["unjudged"][left_open].tolist() == [[False, False, False, True]] * sum(left_open)


def test_a_word_that_recordings_may_hold_must_be_a_label(root: Path) -> None:
    values = {
        "task": "keyword", "labels": ["yes"], "model": {"encoder": {"kind": "gru"}},
        "data": [{"path": "talk", "reader": "recordings", "role": "speech", "holds": ["maybe"]}],
    }  # fmt: skip
    with pytest.raises(ConfigError, match="maybe"):
        Recipe.from_dict(values, Path())


def test_frames_that_may_answer_what_came_before_are_passed_over() -> None:
    log_p = smoothed_log_p(spoken((0, 5, 3)))
    rows = torch.tensor([NEGATIVE]), torch.tensor([10]), torch.tensor([0]), torch.tensor([-5])
    assert float(keyword_loss(log_p, *rows, JUDGED)[0]) < 0.1


def test_speed_defaults_stay_in_order() -> None:
    plan = Augment()
    for pair in (plan.speed, plan.snr_db, plan.gain_db, plan.floor_dbfs, plan.band_limit_hz):
        assert pair[0] < pair[1]


def test_made_up_noise_is_level_and_never_twice_the_same() -> None:
    rng = np.random.default_rng(5)
    made = [coloured_noise(RATE, RATE, rng) for _ in range(40)]
    for noise in made:
        assert noise.dtype == np.float32
        assert np.sqrt(np.square(noise).mean()) == pytest.approx(0.05, rel=1e-3)
    hertz = np.fft.rfftfreq(RATE, 1 / RATE)
    power = [np.square(np.abs(np.fft.rfft(n))) for n in made]
    centres = [float((hertz * p).sum() / p.sum()) for p in power]
    assert min(centres) < 500
    assert max(centres) > 1500


def test_noise_is_varied_too(root: Path, tmp_path: Path) -> None:
    """Two hours of noise, heard unchanged for 16,000 steps, are learnt by heart."""
    plain = recipe(noise_p=0.0, room_p=0.0, band_limit_p=0.0)
    varied = recipe(
        noise_p=0.0, room_p=0.0, band_limit_p=0.0, speech_speed=[1.5, 1.6], coloured_p=0.5
    )

    def peaks(plan: Recipe) -> list[float]:
        batches = KeywordBatches(plan, AudioCorpora(plan, [root], tmp_path / "cache"), "train", 1)
        batch = next(iter(batches))
        rows = batch["audio"].flatten(1)[batch["target"] == 0]
        return [float(torch.fft.rfft(r).abs().argmax()) * RATE / r.numel() for r in rows]

    assert all(90 <= hz <= 140 for hz in peaks(plain))
    changed = peaks(varied)
    assert any(140 < hz <= 215 for hz in changed), "a tone of 100 Hz, played faster"
    assert any(not 140 < hz <= 215 for hz in changed), "and noise that is made up"
