"""Guesses who speaks in clips without speaker names, and splits them so that no guess is shared.

    python recipes/cluster_speakers.py --data DATA

writes recipes/splits/{wake,precise,commands}.tsv (path, speaker, split). A voice embedding per clip
(resemblyzer 0.1.4, GE2E, Wan et al. 2018) is clustered with average linkage on cosine distance. The
threshold errs towards large clusters: two people taken for one cost nothing, one person on both
sides of a split would flatter the test. Ran with resemblyzer 0.1.4, librosa 0.11, scipy 1.16.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from scipy.cluster.hierarchy import fcluster, linkage

FOLDERS = ("wake", "precise", "commands")
BALANCED = "wake"
DISTANCE = 0.28
SHARES = {"test": 0.20, "validation": 0.08}
SHORTEST = 4000


def embed(paths: list[Path]) -> np.ndarray:
    """One unit vector per clip."""
    from resemblyzer import VoiceEncoder, preprocess_wav

    encoder = VoiceEncoder("cpu", verbose=False)
    vectors = []
    for path in paths:
        audio, rate = soundfile.read(path, dtype="float32")
        trimmed = preprocess_wav(audio, source_sr=rate)
        vectors.append(encoder.embed_utterance(trimmed if len(trimmed) >= SHORTEST else audio))
    return np.stack(vectors)


def assign(names: list[str], speakers: list[str]) -> dict[str, str]:
    """Split of each cluster: in the order of a hash, to the split that its words need most."""
    words: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for name, speaker in zip(names, speakers, strict=True):
        folder, word = name.split("/")[:2]
        if folder == BALANCED:
            words.setdefault(speaker, Counter())[word] += 1
            total[word] += 1
    held = {split: Counter[str]() for split in SHARES}
    chosen = {}
    for speaker in sorted(set(speakers), key=lambda s: hashlib.sha1(s.encode()).hexdigest()):
        mine = words.get(speaker, Counter())
        chosen[speaker] = "train"
        for split, share in SHARES.items():
            # A cluster goes to a test only if it overfills no word by much.
            fits = all(
                held[split][w] + n <= share * total[w] + 0.02 * total[w] for w, n in mine.items()
            )
            if mine and fits:
                held[split].update(mine)
                chosen[speaker] = split
                break
        if not mine and int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 5 == 0:
            chosen[speaker] = "test"
    return chosen


def main() -> None:
    """Embed, cluster, split, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    root = parser.parse_args().data
    warnings.filterwarnings("ignore")
    paths = [
        path
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in (".ogg", ".flac")
    ]
    names = [path.relative_to(root).as_posix() for path in paths]
    tree = linkage(embed(paths), method="average", metric="cosine")
    clusters = fcluster(tree, DISTANCE, criterion="distance")
    speakers = [f"s{number:03d}" for number in clusters]
    split_of = assign(names, speakers)
    out = Path(__file__).parent / "splits"
    out.mkdir(exist_ok=True)
    for folder in FOLDERS:
        with (out / f"{folder}.tsv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, delimiter="\t", lineterminator="\n")
            table.writerow(("path", "speaker", "split"))
            for name, speaker in zip(names, speakers, strict=True):
                if name.startswith(f"{folder}/"):
                    table.writerow((name, speaker, split_of[speaker]))


if __name__ == "__main__":
    main()
