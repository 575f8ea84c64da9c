"""docs/choosing.md says what the measurements say, and devices are told apart."""

from __future__ import annotations

import pytest

from benchmarks.choosing import PAGE, page
from edgeseq.profile.devices import device_of


def test_the_page_is_that_of_the_measurements() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m benchmarks.choosing"


@pytest.mark.parametrize(
    ("board", "core", "system", "device"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", "Cortex-A53", "Debian aarch64", "pi-zero"),
        ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72", "Debian aarch64", "pi4"),
        ("Raspberry Pi Compute Module 4", "Cortex-A72", "Debian aarch64", "pi4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", "Debian aarch64", None),
        ("", "Neoverse-N1", "Debian aarch64", None),
        ("", "Cortex-A78", "Android aarch64", "phone"),
        ("", "", "Darwin arm64", "laptop"),
        ("LENOVO 20XW", "Intel Core i7", "Ubuntu x86_64", "laptop"),
        ("", "", "Windows AMD64", "laptop"),
        ("", "", "Debian riscv64", None),
    ],
)
def test_devices_are_told_apart(board: str, core: str, system: str, device: str | None) -> None:
    machine = {"board": board, "cpu": core, "core": core, "system": system, "kernel": ""}
    assert device_of(machine) == device
