"""Figures of a keyword model on recordings it has never seen, through the shipped runtime.

    python benchmarks/keywords.py --data DATA --audio AUDIO MODEL.onnx [MODEL.onnx ...]

(a) wake words of the test split (recipes/splits/wake.tsv) under held-out real noise at 10 dB: miss
    rate per word at the model's own thresholds, and false alarms per hour on the test packages of
    recipes/fetch_audio.py (less the lines of one character, see below) plus the test split of the
    spoken orders;
(b) Speech Commands, official test clips: yes, no, up, down, unknown, silence. A clip is the keyword
    that some frame gives at least half of the probability, else unknown or silence.

With --choose the thresholds are chosen, on recordings that neither training nor the test uses, and
printed: the lowest that keep to so many alarms per hour in the development packages and in what the
hero of the game says whose other characters are the test; or higher ones, as long as they miss few
clips of the validation split. One heard in 5 hours means fewer than 0.95 an hour with a chance of
95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeseq import Session
from edgeseq.training.augment import active_region
from edgeseq.training.corpora import find_below
from scoring import (
    RATE,
    Samples,
    clip_label,
    command_class,
    command_clips,
    detections,
    joined,
    logits_of,
    mix_at,
    percent,
    rate_per_hour,
    read,
)

WAKE = {
    "alexa": "alexa", "computer": "computer", "jarvis": "jarvis", "smart_mirror": "smart mirror",
    "snowboy": "snowboy", "view_glass": "view glass",
}  # fmt: skip
TEST_AUDIO = (
    "flight-of-the-amazon-queen", "warmux-data", "asterisk-moh-opsound-wav", "xmoto-data",
)  # fmt: skip
GAME = TEST_AUDIO[0]
DEVELOPMENT_AUDIO = (
    "asterisk-core-sounds-it-wav", "asterisk-core-sounds-ru-wav", "asterisk-prompt-it-menardi-wav",
    "freedroidrpg-data", "gcin-voice", "ktuberling-data", "warzone2100-data", GAME,
)  # fmt: skip
SPLITS = Path(__file__).parent.parent / "recipes" / "splits"
SNR_DB = 10.0
LOWEST = 0.3
"""Thresholds are swept from here up."""
MISSED = 0.04
"""Share of the validation clips, in quiet and in noise, that a higher threshold may cost."""


def split_paths(table: str, split: str) -> list[str]:
    """Paths of one split of a table."""
    with (SPLITS / f"{table}.tsv").open(encoding="utf-8", newline="") as stream:
        return [r["path"] for r in csv.DictReader(stream, delimiter="\t") if r["split"] == split]


def real_noise(data: Path, development: bool) -> Samples:
    """Real noise: a kitchen and the part of ESC-10 that no recipe trains on, or the other part."""
    esc = sorted((data / "noise" / "esc10").rglob("*.ogg"))
    parts = [] if development else [read(data / "noise" / "kitchen.flac")]
    parts += [read(p) for p in esc if (p.stem[0] in "0123") != development]
    loud = [p / (np.sqrt(np.square(p).mean()) + 1e-9) * 0.05 for p in parts]
    return np.concatenate(loud).astype(np.float32)


def wake_clips(data: Path, split: str, noise: Samples | None) -> Iterator[tuple[str, Samples]]:
    """Label and samples of each wake word clip, with noise at 10 dB when it is given."""
    rng = np.random.default_rng(4)
    for path in split_paths("wake", split):
        clip = read(data / path)
        if noise is not None:
            start = int(rng.integers(len(noise) - len(clip)))
            part = noise[start : start + len(clip)]
            clip = mix_at(SNR_DB, clip, part, active_region(clip, RATE))
        yield WAKE[path.split("/")[1]], clip


def best_scores(session: Session, clips: Iterator[tuple[str, Samples]]) -> dict[str, list[float]]:
    """Per word, the best detection score of that word in each of its clips (0 for none)."""
    sweep = dict.fromkeys(WAKE.values(), LOWEST)
    scores: dict[str, list[float]] = {word: [] for word in WAKE.values()}
    for word, clip in clips:
        events = detections(session, logits_of(session, clip), sweep)
        scores[word].append(max((e.score for e in events if e.label == word), default=0.0))
    return scores


def for_development(file: Path) -> bool:
    """Whether thresholds may be chosen on a recording: the lines of the game's hero, Joe, may.

    Without them there would be almost no English to choose on; the other characters are the test.
    """
    if GAME in file.parts:
        return file.stem.startswith("JOE") or file.stem[6:7] == "J"
    return any(name in file.parts for name in DEVELOPMENT_AUDIO)


def background(audio: list[Path], data: Path, development: bool) -> Iterator[Samples]:
    """Minutes of other speech, music and sounds, in pieces of about five minutes."""
    names = DEVELOPMENT_AUDIO if development else TEST_AUDIO
    found = [f for name in names for f in sorted((find_below(audio, name) / name).rglob("*.flac"))]
    files = [f for f in found if for_development(f) == development]
    if not development:
        files += [data / path for path in split_paths("commands", "test")]
    piece: list[Samples] = []
    for part in joined(read(file) for file in files):
        piece.append(part)
        if sum(map(len, piece)) > 300 * RATE:
            yield np.concatenate(piece)
            piece = []
    if piece:
        yield np.concatenate(piece)


def false_alarms(
    session: Session, pieces: Iterator[Samples]
) -> tuple[dict[str, list[float]], float]:
    """Scores of every false detection by word, and the seconds listened to."""
    sweep = dict.fromkeys(WAKE.values(), LOWEST)
    found: dict[str, list[float]] = {word: [] for word in WAKE.values()}
    seconds = 0.0
    for piece in pieces:
        seconds += len(piece) / RATE
        for event in detections(session, logits_of(session, piece), sweep):
            found[event.label].append(event.score)
    return found, seconds


def commands(session: Session, data: Path) -> dict[str, float]:
    """Accuracy in percent over the six classes of the official test clips, and per class."""
    labels = session.manifest.labels
    good: dict[str, list[bool]] = {}
    for path, wanted in command_clips(data / "speech_commands"):
        got = command_class(labels[clip_label(logits_of(session, read(path)))])
        good.setdefault(wanted, []).append(got == wanted)
    result = {word: percent(values) for word, values in sorted(good.items())}
    return {"all": percent([g for values in good.values() for g in values]), **result}


def choose(session: Session, data: Path, audio: list[Path], per_hour: float) -> dict[str, float]:
    """For each word the lowest threshold with few enough alarms, or a higher one that is free."""
    alarms, seconds = false_alarms(session, background(audio, data, development=True))
    allowed = int(per_hour * seconds / 3600)
    noise = real_noise(data, development=True)
    quiet = best_scores(session, wake_clips(data, "validation", None))
    noisy = best_scores(session, wake_clips(data, "validation", noise))
    chosen = {}
    for word, scores in alarms.items():
        above = sorted(scores, reverse=True)
        limit = above[allowed] if len(above) > allowed else 0.5
        heard = sorted([*quiet[word], *noisy[word]])
        free = heard[int(MISSED * len(heard))] - 0.004
        chosen[word] = round(min(0.999, max(0.5, limit + 0.002, free)), 3)
    return chosen


def report(path: Path, data: Path, audio: list[Path], thresholds: dict[str, float]) -> None:
    """Print the figures of one model."""
    session = Session(path)
    noise = real_noise(data, development=False)
    print(f"## {path.name}: {session.manifest.quantization.scheme}, {path.stat().st_size:,} bytes")
    started = time.perf_counter()
    accuracy = {k: round(v, 1) for k, v in commands(session, data).items()}
    print("commands", json.dumps(accuracy), flush=True)
    noisy = best_scores(session, wake_clips(data, "test", noise))
    clean = best_scores(session, wake_clips(data, "test", None))
    alarms, seconds = false_alarms(session, background(audio, data, development=False))
    hours = seconds / 3600
    total: Counter[str] = Counter()
    for word in WAKE.values():
        limit = thresholds[word]
        total["fa"] += sum(score > limit for score in alarms[word])
        print(
            f"{word:13} threshold {limit:.3f}: miss at 10 dB "
            f"{percent([s <= limit for s in noisy[word]]):5.1f} %, clean "
            f"{percent([s <= limit for s in clean[word]]):5.1f} % of {len(noisy[word])}, "
            f"false alarms {sum(score > limit for score in alarms[word])} in {hours:.1f} h"
        )
    miss = np.mean([percent([s <= thresholds[w] for s in noisy[w]]) for w in noisy])
    miss_clean = np.mean([percent([s <= thresholds[w] for s in clean[w]]) for w in clean])
    print(
        f"mean miss at 10 dB {miss:.1f} %, clean {miss_clean:.1f} %; false alarms of all six words "
        f"{rate_per_hour(total['fa'], seconds):.2f} per hour in {hours:.1f} h"
    )
    for rate in (0.5, 0.1):
        allowed = int(rate * hours)
        limits = {
            w: max(LOWEST, sorted([*alarms[w], *[0.0] * (allowed + 1)], reverse=True)[allowed])
            for w in alarms
        }
        at = np.mean([percent([s <= limits[w] for s in noisy[w]]) for w in noisy])
        print(f"  each word at {rate:.1f} per hour, fitted to the test: miss at 10 dB {at:.1f} %")
    print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)


def main() -> None:
    """Choose thresholds or report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--audio", type=Path, action="append", required=True)
    parser.add_argument("--choose", type=float, metavar="PER_HOUR")
    parser.add_argument("model", type=Path, nargs="+")
    options = parser.parse_args()
    for path in options.model:
        session = Session(path)
        if options.choose is not None:
            chosen = choose(session, options.data, options.audio, options.choose)
            print(path.name, json.dumps(chosen), flush=True)
        else:
            own = session.manifest.decoding.thresholds  # type: ignore[union-attr]
            report(path, options.data, options.audio, {w: own[w] for w in WAKE.values()})


if __name__ == "__main__":
    main()
