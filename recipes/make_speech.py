"""Synthesises training speech with small engines in many voices: sentences and single words.

    python recipes/make_speech.py --text DATA/text/moby-dick.txt --out DATA [--hours 12]

writes `DATA/sentences/*.flac` (about a minute each, any words but the keywords of
recipes/words-base.toml) and `DATA/spoken/<word>/*.flac` (each keyword in each engine). Real
negatives are short of English; these hold every English sound sequence, in voices that a keyword is
heard in too, so that the voice says nothing about the label. Never test on them.

Needs espeak-ng and flite (`apt-get install espeak-ng flite`) and py-nanotts (SVOX Pico), besides
the extra edgeseq[train]. A file that is there already is passed over.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from flac import RATE, write
from keywords import keywords

Samples = npt.NDArray[np.float32]
ACCENTS = (
    "en-us", "en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd",
    "en-029", "en-us-nyc",
)  # fmt: skip
FLITE = ("kal16", "awb", "rms", "slt")
PICO = ("en-US", "en-GB")
# Phrases that share sounds with a keyword; a tenth of all utterances holds one.
NEAR = (
    "a lexus", "election", "alex", "alexis", "relax", "lexicon", "electric", "elixir", "a taxi",
    "commuter", "compute", "compete", "come to her", "computing", "competitor", "consumer",
    "service", "harvest", "travis", "jarring", "charge us", "jars", "java", "jar of", "nervous",
    "start mirror", "smart", "mirror", "smart meter", "small mirror", "smarter", "art mirror",
    "snowball", "snow", "boy", "snowy", "cowboy", "snow day", "slow boy", "snowboard", "oh boy",
    "view", "glass", "few glasses", "blue glass", "new class", "you guess", "review", "fiberglass",
)  # fmt: skip
ENGINES = (("espeak", 0.6), ("flite", 0.25), ("pico", 0.15))
UTTERANCES_PER_FILE = 24


def espeak_variants() -> list[str]:
    """Names of the speaker variants that espeak-ng brings."""
    listing = subprocess.run(
        ["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True
    ).stdout
    return sorted({Path(line.split()[4]).name for line in listing.splitlines()[1:]})


def speak(text: str, engine: str, variants: list[str], rng: np.random.Generator) -> Samples:
    """One utterance at 16 kHz in a random voice of an engine, at a random pace."""
    if engine == "pico":
        import py_nanotts

        pcm = py_nanotts.NanoTTS().speak(
            text, voice=str(rng.choice(PICO)), speed=float(rng.uniform(0.75, 1.3)),
            pitch=float(rng.uniform(0.7, 1.4)),
        )  # fmt: skip
        return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "flite":
            pace = f"duration_stretch={rng.uniform(0.75, 1.3):.2f}"
            voice = str(rng.choice(FLITE))
            command = ["flite", "-voice", voice, "--setf", pace, "-t", text, "-o", file.name]
        else:
            voice = f"{rng.choice(ACCENTS)}+{rng.choice(variants)}"
            pitch, pace = str(rng.integers(15, 90)), str(rng.integers(120, 215))
            command = ["espeak-ng", "-v", voice, "-p", pitch, "-s", pace, "-w", file.name, text]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(file.name, dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")


def levelled(samples: Samples, rng: np.random.Generator) -> Samples:
    """The utterance with its peak between -18 and -1 dBFS."""
    peak = float(np.abs(samples).max(initial=0)) + 1e-9
    return np.asarray(samples * (10 ** (-rng.uniform(1, 18) / 20) / peak), dtype=np.float32)


def utterance(lines: list[str], words: list[str], rng: np.random.Generator) -> str:
    """A line of the text, or words in no order that a text has, or a near miss among words."""
    kind = rng.random()
    if kind < 0.4:
        return lines[rng.integers(len(lines))]
    chosen = [str(w) for w in rng.choice(words, rng.integers(1, 8))]
    if kind > 0.9:
        chosen[rng.integers(len(chosen))] = NEAR[rng.integers(len(NEAR))]
    return " ".join(chosen)


def make_sentences(
    number: int, out: Path, lines: list[str], words: list[str], variants: list[str]
) -> float:
    """Write one file of sentences and return its seconds."""
    path = out / f"{number:05d}.flac"
    if path.exists():
        return soundfile.info(path).duration
    rng = np.random.default_rng((11, number))
    names, chances = zip(*ENGINES, strict=True)
    parts: list[Samples] = []
    for _ in range(UTTERANCES_PER_FILE):
        text = utterance(lines, words, rng)
        parts.append(levelled(speak(text, str(rng.choice(names, p=chances)), variants, rng), rng))
        parts.append(np.zeros(int(rng.uniform(0.05, 0.4) * RATE), np.float32))
    return write(path, np.concatenate(parts))


def make_word(label: str, number: int, out: Path, variants: list[str]) -> None:
    """Write one clip of a keyword; the engine goes round by number."""
    engine = ("espeak", "flite", "pico")[number % 3]
    path = out / label.replace(" ", "_") / f"{engine}-{number:03d}_0.flac"
    if path.exists():
        return
    rng = np.random.default_rng((12, number, *label.encode()))
    write(path, levelled(speak(label, engine, variants, rng), rng))


def usable(text: str, labels: list[str]) -> tuple[list[str], list[str]]:
    """Pieces of 2 to 9 words of a text, and its words, without those that hold a keyword."""
    barred = {word for label in labels for word in label.split() if " " not in label}
    parts = [label.split() for label in labels if " " in label]
    pieces = []
    for sentence in re.split(r"[.;:!?,\"()_-]+", text):
        words = re.findall(r"[a-z']+", sentence.lower())
        together = any(first in words and second in words for first, second in parts)
        if 2 <= len(words) <= 9 and not together and not barred & set(words):
            pieces.append(" ".join(words))
    return pieces, sorted({w for piece in pieces for w in piece.split() if len(w) > 2})


def main() -> None:
    """Make the words, then sentences until there are enough hours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True, help="English prose")
    parser.add_argument("--out", type=Path, required=True, help="data folder")
    parser.add_argument("--hours", type=float, default=12.0, help="of sentences (default: 12)")
    parser.add_argument("--clips", type=int, default=90, help="of each keyword (default: 90)")
    options = parser.parse_args()
    labels = keywords()
    lines, words = usable(options.text.read_text(encoding="utf-8"), labels)
    variants = espeak_variants()
    sentences = options.out / "sentences"
    with ProcessPoolExecutor() as pool:
        tasks = [
            pool.submit(make_word, label, n, options.out / "spoken", variants)
            for label in labels
            for n in range(options.clips)
        ]
        for task in tasks:
            task.result()
        seconds, number = 0.0, 0
        while seconds < options.hours * 3600:
            batch = [
                pool.submit(make_sentences, number + i, sentences, lines, words, variants)
                for i in range(16)
            ]
            seconds += sum(task.result() for task in batch)
            number += len(batch)
            print(f"\r{seconds / 3600:.2f} h of sentences", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
