"""Bits per byte of byte models on a held-out book, beside their size and speed, and compressors.

    python -m benchmarks.text_models --data DATA --out RUNS --minutes 30
    python -m benchmarks.text --data DATA --models RUNS [--bytes N] [--json FILE]

Reads DATA/text/moby-dick.txt (or --book), of which nothing was trained on, with every file that
text_models.py wrote: float and int8 in onnxruntime, int8 in the native engine. The stream is not
reset, and its first byte not counted. xz -9e and PPMd var. I (`pip install pyppmd`; the best of
orders 4 to 8, chosen on these very bytes) compress the same bytes, alone and primed: what the book
adds to the compressed training text. Step times are of one thread here, one file after the other.
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeseq.profile.machine import this_machine
from edgeseq.profile.positions import TextScore
from edgeseq.runtime import Session

FORMS = ("float", "int8", "native")
PIECE = 4096
ORDERS = (4, 5, 6, 7, 8)
PPMD_MEMORY = 1 << 29
TRAINED_ON = ("text/bible-kjv.txt", "essays/anarchism.txt")

Compressed = Callable[[bytes], int]


def training_text(data: Path) -> bytes:
    """What recipes/book.toml trains on: all but the last twentieth of each file."""
    parts = [(data / name).read_bytes() for name in TRAINED_ON]
    return b"".join(part[: len(part) * 19 // 20] for part in parts)


def xz(data: bytes) -> int:
    """Bytes of `xz -9e`, whose dictionary of 64 MiB holds all of the training text."""
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def ppmd(order: int) -> Compressed:
    """Bytes of PPMd var. I of this order, with more memory than it can fill."""
    import pyppmd

    return lambda data: len(
        pyppmd.compress(data, max_order=order, mem_size=PPMD_MEMORY, variant="I")
    )


def baselines(book: bytes, primer: bytes) -> list[dict[str, Any]]:
    """Bits per byte of each compressor, alone and primed."""
    methods: list[tuple[str, Compressed]] = [("xz -9e", xz)]
    try:
        methods += [(f"PPMd order {order}", ppmd(order)) for order in ORDERS]
    except ImportError:
        print("PPMd left out: pip install pyppmd")
    rows = [
        {
            "name": name,
            "alone": 8 * size(book) / len(book),
            "primed": 8 * (size(primer + book) - size(primer)) / len(book),
        }
        for name, size in methods
    ]
    best = [min(rows[1:], key=lambda row: row[key]) for key in ("alone", "primed") if rows[1:]]
    return rows[:1] + [row for i, row in enumerate(best) if row not in best[:i]]


def measure(path: Path, book: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Any]:
    """One file on the whole book."""
    score = TextScore(Session(path))
    for at in range(0, len(book), PIECE):
        score.push(book[at : at + PIECE])
    score.flush()
    manifest = score.session.manifest
    return {
        "parameters": manifest.parameters,
        "file_bytes": path.stat().st_size,
        "state_bytes": manifest.state_spec.nbytes(),
        "bits_per_byte": score.bits_per_byte,
        "step_p50_us": score.clock.p50_ms * 1000,
        "bytes_per_second": score.clock.steps / score.clock.total_s,
    }


def row(name: str, folder: Path, book: bytes) -> dict[str, Any]:
    """All forms of one model, and what its training was."""
    made: dict[str, Any] = {
        "name": name,
        "budget": json.loads((folder / "budget.json").read_text()),
    }
    for form in FORMS:
        path = folder / f"{name}-{form}.{'esq' if form == 'native' else 'onnx'}"
        if path.exists():
            made[form] = measure(path, np.frombuffer(book, np.uint8))
            print(f"{name} {form}: {made[form]['bits_per_byte']:.4f}", flush=True)
    return made


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: bits per byte, median step and state bytes of each form."""
    lines = [
        "| model | parameters | trained on, MB | bits per byte float / int8 / native "
        "| step p50 µs float / int8 / native | state bytes onnx / native |",
        "|---|---|---|---|---|---|",
    ]
    for made in rows:
        forms = [made.get(form) for form in FORMS]
        first = next(form for form in forms if form)

        def cells(key: str, shown: str, of: list[Any] = forms) -> str:
            return " / ".join("-" if form is None else format(form[key], shown) for form in of)

        lines.append(
            f"| {made['name']} | {first['parameters']:,} | {made['budget']['bytes'] / 1e6:.1f} "
            f"| {cells('bits_per_byte', '.3f')} | {cells('step_p50_us', '.1f')} "
            f"| {cells('state_bytes', ',', forms[1:])} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("runs/text"))
    parser.add_argument("--book", type=Path, help="held-out text; DATA/text/moby-dick.txt")
    parser.add_argument("--bytes", type=int, help="only the first bytes of the book")
    parser.add_argument("--json", type=Path, help="write everything here as well")
    options = parser.parse_args()
    file = options.book or options.data / "text" / "moby-dick.txt"
    book = file.read_bytes()[: options.bytes]
    folders = [p.parent for p in options.models.glob("*/model.safetensors")]
    rows = [row(p.name, p, book) for p in folders if any(p.glob(f"{p.name}-*"))]
    rows.sort(key=lambda made: next(made[f] for f in FORMS if f in made)["parameters"])
    others = baselines(book, training_text(options.data))
    print(f"\n{file.name}, {len(book):,} bytes; {this_machine().sentence()}; one thread\n")
    print(table(rows) if rows else f"no models in {options.models}")
    print("\n| compressor | alone | primed with the training text |\n|---|---|---|")
    for other in others:
        print(f"| {other['name']} | {other['alone']:.3f} | {other['primed']:.3f} |")
    if options.json:
        document = {"book": file.name, "bytes": len(book), "machine": this_machine().as_dict()}
        options.json.write_text(json.dumps({**document, "models": rows, "compressors": others}))


if __name__ == "__main__":
    main()
