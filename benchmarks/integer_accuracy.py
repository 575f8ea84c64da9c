"""What the integer program loses against the float model it was made from.

    python benchmarks/integer_accuracy.py --data DATA CHECKPOINT ...      (keyword models)
    python benchmarks/integer_accuracy.py --text FILE CHECKPOINT ...      (byte models)

A checkpoint may also be an int8 .onnx file or the name of a bundled model; the float model is then
the one with the weights of that file.

Keywords: official Speech Commands test clips, six classes, scored as in keywords.py. Text: bits per
byte over the last --bytes of FILE, in streams of 1,000 bytes. Scales come from the bundled clip.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edgeseq.decoding import KeywordDecoding, fill_decoding
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.integer import IntegerProgram, build_program, calibration_input
from edgeseq_export.read_back import load_weights
from scoring import (
    LEAD_SECONDS,
    RATE,
    TAIL_SECONDS,
    Samples,
    clip_label,
    command_class,
    command_clips,
    percent,
    read,
    scores_of,
)

STREAM_BYTES = 1000


def logits(
    checkpoint: Checkpoint, program: IntegerProgram, x: npt.NDArray[np.generic]
) -> tuple[Samples, Samples]:
    """Logits `[B, T, V]` of the float model and of the integer program."""
    model = checkpoint.model
    with torch.inference_mode():
        y, _ = model(torch.from_numpy(x), model.initial_state(len(x)))
    whole, _ = program.step(program.quantize_input(x), program.state_spec.zeros(len(x)))
    return y.numpy(), program.logits(whole)


def keywords(checkpoint: Checkpoint, program: IntegerProgram, data: Path) -> str:
    """Accuracy of both in percent."""
    clips = command_clips(data / "speech_commands")
    hop, lead = checkpoint.model.input_dim, round(LEAD_SECONDS * RATE)
    frames = round((LEAD_SECONDS + 1 + TAIL_SECONDS) * RATE) // hop
    x = np.zeros((len(clips), frames * hop), np.float32)
    for (path, _), samples in zip(clips, x, strict=True):
        clip = read(path)[:RATE]
        samples[lead : lead + len(clip)] = clip
    names = checkpoint.facts["labels"]
    settings = fill_decoding("keyword", tuple(names), checkpoint.facts["decoding"])
    assert isinstance(settings, KeywordDecoding)
    smoothed = round(settings.smoothing_s * RATE / hop)
    good: list[list[bool]] = [[], []]
    both = logits(checkpoint, program, x.reshape(len(clips), frames, hop))
    for right, scores in zip(good, both, strict=True):
        for (_, wanted), score in zip(clips, scores, strict=True):
            label = clip_label(scores_of(score, smoothed).max(axis=0))
            right.append(command_class(names[label]) == wanted)
    return f"{len(clips)} clips: float {percent(good[0]):.2f} %, integer {percent(good[1]):.2f} %"


def text(checkpoint: Checkpoint, program: IntegerProgram, data: bytes) -> str:
    """Bits per byte of both."""
    streams = len(data) // STREAM_BYTES
    x = np.frombuffer(data[: streams * STREAM_BYTES], np.uint8).astype(np.int64)
    x = x.reshape(streams, STREAM_BYTES, 1)
    bits = []
    for scores in logits(checkpoint, program, x):
        sure = torch.log_softmax(torch.from_numpy(scores[:, :-1]).double(), -1)
        bits.append(-float(sure.gather(-1, torch.from_numpy(x[:, 1:])).mean()) / np.log(2))
    return (
        f"{x.size} bytes: float {bits[0]:.4f}, integer {bits[1]:.4f} bits per byte "
        f"({100 * (bits[1] / bits[0] - 1):+.2f} %)"
    )


def main() -> None:
    """Report every checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--bytes", type=int, default=60_000)
    parser.add_argument("checkpoint", type=Path, nargs="+")
    options = parser.parse_args()
    if (options.data is None) == (options.text is None):
        parser.error("give --data (keyword models) or --text (byte models)")
    for path in options.checkpoint:
        checkpoint = load_weights(path)
        program = build_program(checkpoint.model, calibration_input(checkpoint.model))
        if options.data is not None:
            line = keywords(checkpoint, program, options.data)
        else:
            line = text(checkpoint, program, options.text.read_bytes()[-options.bytes :])
        print(f"{checkpoint.facts['name']}: {line}", flush=True)


if __name__ == "__main__":
    main()
