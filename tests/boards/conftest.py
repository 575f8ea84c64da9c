"""Firmware folders, and a program built from one of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseq.boards import BOARDS, Simulation
from edgeseq.boards.folder import read_folder
from edgeseq_export.firmware import export_firmware
from edgeseq_export.read_back import load_weights
from tests.export.integer_models import checkpoint
from tests.firmware.engine import tool

FAMILIES = ("words-gru", "words-transformer")
SIMULATED = ("cortex-m4", "cortex-m7", "cortex-m55")


def need_boards() -> None:
    """Skip where the compiler or the emulator is missing, which fails in CI."""
    tool("arm-none-eabi-gcc")
    tool("qemu-system-arm")


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The firmware folder of a bundled model, exported once."""
    root = tmp_path_factory.mktemp("firmware")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            export_firmware(load_weights(Path(name)), root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware folder of a small GRU with random weights."""
    folder = tmp_path_factory.mktemp("small")
    export_firmware(checkpoint("gru"), folder)
    return folder


@pytest.fixture
def copied(small: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(small, tmp_path / "copied"))


def built(folder: Path, board: str, work: Path, *extra: object) -> Simulation:
    """The program of `folder` for a board."""
    need_boards()
    work.mkdir(parents=True, exist_ok=True)
    return Simulation(read_folder(folder), BOARDS[board], work, extra)
