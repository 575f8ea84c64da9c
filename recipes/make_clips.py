"""Makes the recordings that come with the package, from test clips that no recipe trains on.

    python recipes/make_clips.py --data DATA --text DATA

writes edgeseq/assets/clips/words.wav, words.tsv (start, end, label) and passage.txt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from edgeseq.training.augment import active_region

RATE = 16000
PAUSE_SECONDS = 0.5
LEVEL = 0.06
OUT = Path(__file__).parent.parent / "edgeseq" / "assets" / "clips"
CLIPS = (
    ("wake", "jarvis"),
    ("speech_commands", "yes"),
    ("wake", "computer"),
    ("speech_commands", "up"),
    ("wake", "alexa"),
    ("speech_commands", "no"),
    ("speech_commands", "seven"),
    ("wake", "snowboy"),
)
PASSAGE_BYTES = 1200


def first_test_clip(data: Path, folder: str, label: str) -> Path:
    """The first test clip of a word, by name."""
    if folder == "wake":
        table = (Path(__file__).parent / "splits" / "wake.tsv").read_text(encoding="utf-8")
        rows = [line.split("\t") for line in table.splitlines()[1:]]
        return data / min(p for p, _, s in rows if s == "test" and p.startswith(f"wake/{label}/"))
    listed = (data / "speech_commands" / "testing_list.txt").read_text(encoding="utf-8").split()
    name = min(n for n in listed if n.startswith(f"{label}/")).rsplit(".", 1)[0]
    return next((data / "speech_commands").glob(f"{name}.*"))


def main() -> None:
    """Cut, level, join and label."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    pause = np.zeros(round(PAUSE_SECONDS * RATE), np.float32)
    parts, rows, at = [pause], ["start\tend\tlabel"], len(pause)
    for folder, label in CLIPS:
        path = first_test_clip(options.data, folder, label)
        audio, _ = soundfile.read(path, dtype="float32")
        first, last = active_region(audio, RATE)
        word = audio[first:last]
        word = word * (LEVEL / np.sqrt(np.square(word).mean()))
        rows.append(f"{at / RATE:.2f}\t{(at + len(word)) / RATE:.2f}\t{label}")
        parts += [word.clip(-1, 1), pause]
        at += len(word) + len(pause)
    soundfile.write(OUT / "words.wav", np.concatenate(parts), RATE, subtype="PCM_16")
    (OUT / "words.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    book = (options.text / "text" / "moby-dick.txt").read_bytes()
    held_out = book[len(book) * 19 // 20 :]
    start = held_out.index(b"\n\n") + 2
    passage = held_out[start : start + PASSAGE_BYTES].rsplit(b" ", 1)[0] + b"\n"
    (OUT / "passage.txt").write_bytes(passage)


if __name__ == "__main__":
    main()
