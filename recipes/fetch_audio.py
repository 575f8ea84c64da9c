"""Fetches recorded speech, music and sounds from Debian packages, as 16 kHz mono FLAC.

    python recipes/fetch_audio.py --out DATA [PACKAGE ...]

writes `DATA/<package>/**.flac` with the package's copyright file beside it and `DATA/index.tsv`.
The recipes learn from the packages of role train. Those of the other roles are only listened to:
thresholds are chosen on development, false alarms are counted on test. A package that is there
already is passed over, so an interrupted run goes on.
Needs apt-get and dpkg-deb (no root), and the extra edgeseq[train].
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16000
SUFFIXES = {".wav", ".ogg", ".opus", ".mp3", ".flac", ".gsm", ".au"}
SPEECH, MUSIC, EFFECTS = "speech", "music", "effects"
# Pauses and signal tones among the prompts, the same in every language: no speech.
PROMPTS = {
    "/silence/": EFFECTS, "/beep": EFFECTS, "-2tone": EFFECTS, "/confbridge-join.": EFFECTS,
    "/confbridge-leave.": EFFECTS, "": SPEECH,
}  # fmt: skip


@dataclass(frozen=True)
class Package:
    """A pinned package: what it is for, its licence, and what lies below which folder name."""

    version: str
    role: str
    licence: str
    kinds: dict[str, str]
    """Part of a path to kind of sound; the first that fits decides, a file without is left out."""


PACKAGES = {
    "asterisk-core-sounds-en-wav": Package("1.6.1-1", "train", "CC-BY-SA-3.0", PROMPTS),
    "asterisk-core-sounds-es-wav": Package("1.6.1-1", "train", "CC-BY-SA-3.0", PROMPTS),
    "asterisk-core-sounds-fr-wav": Package("1.6.1-1", "train", "CC-BY-SA-3.0", PROMPTS),
    "asterisk-core-sounds-it-wav": Package("1.6.1-1", "development", "CC-BY-SA-3.0", PROMPTS),
    "asterisk-core-sounds-ru-wav": Package("1.6.1-1", "development", "CC-BY-SA-3.0", PROMPTS),
    "asterisk-prompt-it-menardi-wav": Package(
        "1:1.4.22+mm20110907-3.1", "development", "CC-BY-SA-3.0", PROMPTS
    ),
    "warzone2100-data": Package(
        "4.3.3-3", "development", "GPL-2", {"/sfx/": EFFECTS, "/radclick/": EFFECTS, "": SPEECH}
    ),
    "gcin-voice": Package("0~20170223-3", "development", "CC-BY-3.0, GPL-3", {"": SPEECH}),
    "freedroidrpg-data": Package(
        "1.0-1", "development", "GPL-2", {"/music/": MUSIC, "_comments/": SPEECH, "": EFFECTS}
    ),
    "tuxpaint-stamps-default": Package("2022.06.04-1", "train", "GPL-2", {"_desc": SPEECH}),
    "klettres-data": Package("4:22.12.3-1", "train", "GPL-2+", {"": SPEECH}),
    "ktuberling-data": Package("4:22.12.3-1", "development", "GPL-2+", {"": SPEECH}),
    "beneath-a-steel-sky": Package("0.0372-8", "train", "freeware", {"": SPEECH}),
    "scratch": Package(
        "1.4.0.6~dfsg1-6.1",
        "train",
        "CC-BY-SA-3.0",
        {
            "/Effects/": EFFECTS,
            "/Electronic/": EFFECTS,
            "/Animal/": EFFECTS,
            "/Percussion/": EFFECTS,
        },
    ),
    "sonic-pi-samples": Package(
        "3.2.2~repack-8", "train", "CC0-1.0, CC-BY-SA-4.0, MIT", {"/loop_": MUSIC, "": EFFECTS}
    ),
    "hedgewars-data": Package(
        "1.0.2-6", "train", "GFDL-1.3", {"/voices/": SPEECH, "/Music/": MUSIC, "/Sounds/": EFFECTS}
    ),
    "flight-of-the-amazon-queen": Package("1.0.0-9", "test", "freeware", {"": SPEECH}),
    "fillets-ng-data-cs": Package("1.0.1-1.1", "train", "GPL-2", {"": SPEECH}),
    "fillets-ng-data-nl": Package("1.0.1-1.1", "train", "GPL-2", {"": SPEECH}),
    "warmux-data": Package("1:11.04.1+repack2-4", "test", "GPL-2", {"/music/": MUSIC, "": EFFECTS}),
    "asterisk-moh-opsound-wav": Package("2.03-1.1", "test", "CC-BY-SA", {"": MUSIC}),
    "xmoto-data": Package("0.6.1+repack-9", "test", "see its copyright file", {"Music": MUSIC}),
}


def game_clips(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The MP3 clips in the data file of Flight of the Amazon Queen, by name.

    Big-endian; the number of entries at byte 13, then records of 21 bytes: name (12), a byte,
    offset (4), size (4).
    """
    data = archive.read_bytes()
    (count,) = struct.unpack_from(">H", data, 13)
    for n in range(count):
        raw, _, offset, size = struct.unpack_from(">12sBII", data, 15 + 21 * n)
        name = raw.split(b"\0")[0].decode("ascii", "replace")
        if name.endswith(".SB"):
            yield name, data[offset : offset + size]


def steel_sky_clips(index: Path) -> Iterator[tuple[str, bytes]]:
    """The speech in Beneath a Steel Sky as WAV, by the number of its entry.

    Little-endian; `sky.dnr` counts the entries of `sky.dsk` and gives for each its number (2
    bytes), offset (3, in units of 16 where the top bit is set) and size (3, low 22 bits). Speech is
    50000 to 58999: a header of 22 bytes, then unsigned 8-bit samples at 11,025 Hz packed by RNC
    ProPack.
    """
    if shutil.which("ancient") is None:
        sys.exit("beneath-a-steel-sky needs the unpacker `ancient`: apt-get install ancient")
    table, data = index.read_bytes(), index.with_suffix(".dsk").read_bytes()
    (count,) = struct.unpack_from("<I", table)
    with tempfile.TemporaryDirectory() as temporary:
        packed, plain = Path(temporary, "packed"), Path(temporary, "plain")
        for n in range(count):
            entry = table[4 + 8 * n : 12 + 8 * n]
            number, offset, size = (
                int.from_bytes(entry[first:last], "little")
                for first, last in ((0, 2), (2, 5), (5, 8))
            )
            if not 50000 <= number <= 58999:
                continue
            offset = (offset & 0x7FFFFF) * 16 if offset & 0x800000 else offset
            packed.write_bytes(data[offset + 22 : offset + (size & 0x3FFFFF)])
            plain.unlink(missing_ok=True)
            subprocess.run(["ancient", "decompress", packed, plain], check=True)
            samples = np.frombuffer(plain.read_bytes(), np.uint8).astype(np.float32) / 128 - 1
            wav = io.BytesIO()
            soundfile.write(wav, samples, 11025, format="WAV", subtype="PCM_U8")
            yield str(number), wav.getvalue()


def zipped_clips(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The recordings in a data file of Warzone 2100, which is a zip archive, by name."""
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if Path(name).suffix.lower() in SUFFIXES:
                yield name, opened.read(name)


def recordings(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """Path for the kind, name to write, and content of every recording below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.name == "queen.1c":
            for name, data in game_clips(path):
                yield f"/{name}", Path(name).stem, data
        elif path.name == "sky.dnr":
            for name, data in steel_sky_clips(path):
                yield f"/{name}", name, data
        elif path.suffix == ".wz":
            for name, data in zipped_clips(path):
                yield f"/{name}", "_".join(Path(name).with_suffix("").parts), data
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            inside = path.relative_to(folder)
            name = "_".join(inside.with_suffix("").parts[3:]) or path.stem
            yield f"/{inside.as_posix()}", name, path.read_bytes()


def download(name: str, package: Package, work: Path) -> Path:
    """Unpack the pinned version, or the one that apt offers, into `work`."""
    for wanted in (f"{name}={package.version}", name):
        command = ["apt-get", "-q", "download", wanted]
        if subprocess.run(command, cwd=work, capture_output=True).returncode == 0:
            break
        print(f"{wanted}: not offered", file=sys.stderr)
    else:
        sys.exit(f"{name}: apt-get cannot download it; run apt-get update, then this again")
    (archive,) = work.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, work / "tree"], check=True)
    archive.unlink()
    return work / "tree"


def convert(name: str, package: Package, out: Path) -> None:
    """Write one package; its folder appears when it is complete."""
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        work = Path(temporary)
        tree = download(name, package, work)
        made, rows, bad = work / name, [], []
        made.mkdir()
        for place, stem, data in recordings(tree):
            kind = next((kind for part, kind in package.kinds.items() if part in place), None)
            if kind is None:
                continue
            try:
                audio, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                bad.append(place)
                continue
            if not len(audio):  # a header alone would become a FLAC file that no reader opens
                bad.append(place)
                continue
            mono = soxr.resample(audio.mean(axis=1), rate, RATE, quality="HQ")
            target = made / kind / f"{stem}.flac"
            target.parent.mkdir(exist_ok=True)
            soundfile.write(target, np.clip(mono, -1, 1), RATE, subtype="PCM_16")
            rows.append((name, f"{name}/{kind}/{stem}.flac", f"{len(mono) / RATE:.3f}", rate, kind))
        shutil.copy(tree / "usr/share/doc" / name / "copyright", made / "LICENSE.txt")
        with (made / "index.tsv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter="\t").writerows(rows)
        made.replace(out / name)
    minutes = sum(float(row[2]) for row in rows) / 60
    left_out = f", unreadable or empty: {', '.join(bad)}" if bad else ""
    print(f"{name}: {len(rows)} recordings, {minutes:.1f} min{left_out}", file=sys.stderr)


def main() -> None:
    """Fetch what is not there yet and write the index."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="data folder")
    parser.add_argument("package", nargs="*", choices=[[], *PACKAGES], help="default: all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.package or PACKAGES:
        if not (options.out / name).exists():
            convert(name, PACKAGES[name], options.out)
    header = "package\tpath\tseconds\toriginal_rate\tkind\n"
    parts = [p.read_text(encoding="utf-8") for p in sorted(options.out.glob("*/index.tsv"))]
    (options.out / "index.tsv").write_text(header + "".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
