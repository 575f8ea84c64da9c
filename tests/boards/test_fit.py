"""What is said of flash, RAM and clock, and how the linker's map and a folder are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseq.boards import BOARDS, Check, Limits, Measured, Simulation, check_fit
from edgeseq.boards.fit import rounded_up
from edgeseq.boards.folder import check_audio, read_folder
from edgeseq.boards.linked import Piece, linked_pieces
from edgeseq.boards.simulation import Sizes
from edgeseq.boards.toolchain import c_sources
from edgeseq.errors import ConfigError, ManifestError, MissingToolError
from edgeseq_export.firmware import export_firmware
from tests.export.integer_models import checkpoint

MEASURED = Measured(
    sizes=Sizes(model=60_000, engine=10_000, other=2_000, arena=7_000, static=500),
    stack=692, kernels="dsp", steps=100, median=390_000, longest=400_000, macs=260_000,
    step_seconds=0.02, most_per_cycle=1,
)  # fmt: skip


def only(limits: Limits, measured: Measured = MEASURED) -> Check:
    (check,) = check_fit(measured, limits)
    return check


def test_without_limits_nothing_is_said() -> None:
    assert check_fit(MEASURED, Limits()) == []


@pytest.mark.parametrize(("kib", "fits"), [(70, False), (71, True)])
def test_flash_is_everything_that_the_linker_kept(kib: int, fits: bool) -> None:
    check = only(Limits(flash_bytes=1024 * kib))
    assert (check.what, check.fits) == ("flash", fits)
    assert "72,000 of" in check.words
    room = 1024 * kib - 72_000
    assert f"{abs(room):,} {'are left' if fits else 'too many'}" in check.words


def test_ram_is_arena_stack_and_variables_to_the_last_byte() -> None:
    assert MEASURED.ram == 8 * 1024
    assert only(Limits(ram_bytes=8 * 1024)).fits
    assert not only(Limits(ram_bytes=8 * 1024), replace(MEASURED, stack=693)).fits


def test_a_clock_is_excluded_or_not_but_never_promised() -> None:
    """400,000 instructions in 20 ms: 20 MHz at one a cycle, 10 MHz at two."""
    for mhz, fits in ((19.99, False), (20.0, True)):
        check = only(Limits(clock_mhz=mhz))
        assert (check.what, check.fits) == ("clock", fits)
        two = replace(MEASURED, most_per_cycle=2)
        assert only(Limits(clock_mhz=mhz / 2), two).fits == fits
    excluded, open_ = (only(Limits(clock_mhz=mhz)).words for mhz in (10, 200))
    assert excluded.startswith("cannot fit: ")
    assert "at least 20 MHz" in excluded
    assert open_.startswith("not excluded: ")
    assert "not cycles" in open_
    assert not open_.startswith("fits")


@pytest.mark.parametrize(("value", "shown"), [(5.9029, 5.91), (20.0, 20), (123.4, 124)])
def test_the_least_clock_is_rounded_up(value: float, shown: float) -> None:
    assert rounded_up(value) == pytest.approx(shown, rel=1e-12)


MAP = """Discarded input sections

 .text.unused   0x00000000      0x100 engine.o

Linker script and memory map

.text           0x00000000      0x200
 *(.vectors)
 .vectors       0x00000000       0x40 start.o
 .text.es_transformer_need
                0x00000040      0x258 transformer.o
                0x00000040                es_transformer_need
 *fill*         0x00000298        0x8 
 .text          0x000002a0       0x30 /lib/libgcc.a(_divmod.o)
 .rodata.str1.4
                0x000002d0        0x6 engine.o
                                  0x9 (size before relaxing)
 .rodata.none   0x000002d6        0x0 engine.o
.data           0x20000000        0x4 load address 0x00000400
 .data.value    0x20000000        0x4 main.o
.bss            0x20000004       0x24
 .bss.arena     0x20000008       0x20 main.o
.comment        0x00000000       0x22
 .comment       0x00000000       0x22 start.o
"""  # noqa: W291


def test_a_linker_map_is_read() -> None:
    pieces = list(linked_pieces(MAP))
    assert pieces == [
        Piece(".vectors", "start.o", 0x40),
        Piece(".text.es_transformer_need", "transformer.o", 0x258),
        Piece(".text.es_transformer_need", "", 8),
        Piece(".text", "/lib/libgcc.a(_divmod.o)", 0x30),
        Piece(".rodata.str1.4", "engine.o", 6),
        Piece(".data.value", "main.o", 4),
        Piece(".bss.arena", "main.o", 0x20),
    ]
    assert [p.in_flash for p in pieces] == [True] * 6 + [False]
    # First values of variables lie in flash, too.
    assert [p.in_ram for p in pieces] == [False] * 5 + [True] * 2


def test_a_folder_is_read_back(small: Path) -> None:
    folder = read_folder(small)
    assert folder.manifest.name == "gru"
    assert folder.manifest.quantization.scheme == "int8"
    assert f"#define EDGESEQ_ARENA_BYTES {folder.arena_bytes}\n" in (
        small / "model_data.h"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["model_data.c", "model_data.h", "manifest.json"])
def test_a_folder_without_a_file_says_how_to_make_one(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ManifestError, match=rf"has no {name}; make the folder with: edgeseq exp"):
        read_folder(copied)


def test_a_folder_of_two_models_is_refused(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    header = (copied / "model_data.h").read_text()
    (copied / "model_data.h").write_text(header.replace("OUTPUT_DIM 7", "OUTPUT_DIM 8"))
    with pytest.raises(ManifestError, match=r"OUTPUT_DIM is 8, manifest\.json says 7"):
        read_folder(copied)
    (copied / "model_data.h").write_text(header.replace("OUTPUT_FRACTION", "FRACTION"))
    with pytest.raises(ManifestError, match="OUTPUT_FRACTION is missing"):
        read_folder(copied)
    (copied / "model_data.h").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        read_folder(copied)
    manifest["surprise"] = 1
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match="surprise"):
        read_folder(copied)


def test_a_bare_network_has_no_manifest(tmp_path: Path) -> None:
    made = checkpoint("gru")
    facts = {"name": "bare", "labels": []}
    export_firmware(replace(made, facts=facts), tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    assert (tmp_path / "model_data.c").exists()


def test_models_of_text_are_refused() -> None:
    check_audio("keyword", "x")
    check_audio("vad", "x")
    with pytest.raises(ConfigError, match=r"^x: this is a bytes model, which takes text"):
        check_audio("bytes", "x")


@pytest.fixture
def only_tools(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., None]:  # fmt: skip
    """Gives a PATH on which nothing but the named programs (empty files) can be found."""

    def leave(*names: str) -> None:
        for name in names:
            (tmp_path / name).touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return leave


def test_missing_programs_name_their_debian_packages(
    small: Path, tmp_path: Path, only_tools: Callable[..., None]
) -> None:
    """Before anything is compiled."""
    folder, work = read_folder(small), tmp_path / "work"
    only_tools()
    with pytest.raises(MissingToolError, match="apt install gcc-arm-none-eabi"):
        Simulation(folder, BOARDS["cortex-m4"], work)
    only_tools("arm-none-eabi-gcc")
    with pytest.raises(MissingToolError, match="apt install qemu-system-arm"):
        Simulation(folder, BOARDS["cortex-m4"], work)
    assert not work.exists()


def test_the_c_sources_are_found() -> None:
    root = c_sources()
    assert (root / "port" / "cortex-m" / "simulate.c").exists()
    assert len(list((root / "src").glob("*.c"))) >= 10
    assert os.access(root / "include" / "edgeseq.h", os.R_OK)
