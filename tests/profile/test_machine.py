"""Facts about this machine and this process."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgeseq.profile.machine import emulator, this_machine
from edgeseq.profile.memory import current_rss, peak_rss


def test_the_sentence_holds_every_fact() -> None:
    machine = this_machine()
    sentence = machine.sentence()
    for name in ("cpu", "cores", "system", "python", "onnxruntime"):
        assert str(machine.as_dict()[name]) in sentence
    assert machine.bits == 8 * struct.calcsize("P")
    assert machine.memory_bytes > 2**20
    assert machine.libraries["numpy"] == np.__version__
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.onnxruntime != "not installed"
    assert "\n" not in sentence


def elf(path: Path, machine: int, big: bool = False) -> Path:
    """The start of a program for processor number `machine`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = machine.to_bytes(2, "big" if big else "little")
    path.write_bytes(b"\x7fELF\x02" + (b"\2" if big else b"\1") + bytes(12) + number + bytes(44))
    return path


@pytest.mark.parametrize(
    ("program", "number", "machine", "found"),
    [
        ("qemu-aarch64", 62, "aarch64", "qemu-aarch64"),
        ("box64", 183, "x86_64", "box64"),
        # 32-bit ARM on a 64-bit one.
        ("qemu-arm", 183, "armv7l", "qemu-arm"),
        ("python3.13", 62, "x86_64", ""),
        # A 32-bit system on a 64-bit kernel, the default of Raspberry Pi OS 32-bit.
        ("python3.13", 40, "aarch64", ""),
        ("python3", 3, "x86_64", ""),
        # Not known to be another one.
        ("python3", 243, "loongarch64", ""),
        ("python3", 22, "s390x", ""),
    ],
)
def test_an_emulator_is_told_by_the_program_that_the_kernel_runs(
    program: str, number: int, machine: str, found: str, tmp_path: Path
) -> None:
    exe = tmp_path / "proc/thread-self/exe"
    target = elf(tmp_path / "bin" / program, number)
    exe.parent.mkdir(parents=True)
    exe.symlink_to(target)
    assert emulator(tmp_path, machine) == found


def test_without_proc_or_with_a_script_there_is_no_emulator(tmp_path: Path) -> None:
    assert emulator(tmp_path, "aarch64") == ""
    exe = tmp_path / "proc/thread-self/exe"
    exe.parent.mkdir(parents=True)
    exe.symlink_to(tmp_path / "script")
    (tmp_path / "script").write_text("#!/bin/sh\n" + 40 * "x")
    assert emulator(tmp_path, "aarch64") == ""


def test_this_processor_is_a_real_one() -> None:
    machine = this_machine()
    assert machine.emulator == ""
    assert "emulated" not in machine.cpu


def test_peak_remembers_what_was_given_back() -> None:
    size = 64 * 2**20
    before = current_rss()
    block = np.ones(size, np.uint8)
    assert current_rss() >= before + size // 2
    del block
    assert peak_rss() >= before + size // 2
    # The kernel counts in batches, so the two may differ by a few pages.
    assert peak_rss() >= current_rss() - 2**20
