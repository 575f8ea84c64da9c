"""Kinds of device that `edgeseq advise` knows, and which of them a profile was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DEVICES", "Device", "device_of"]

X86 = ("x86_64", "amd64")
ARM64 = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of device.

    Attributes:
        name: as it is asked for.
        words: what is meant by it.
        remark: what is to be known before anything is measured on it, or "".
    """

    name: str
    words: str
    remark: str = ""


DEVICES = {
    device.name: device
    for device in (
        Device("cortex-m4", "a microcontroller with a Cortex-M4 and its DSP instructions"),
        Device(
            "pi-zero",
            "a Raspberry Pi Zero 2 W, 64-bit system",
            "a first Pi Zero is 32-bit: onnxruntime has no wheel for it, native files run",
        ),
        Device("pi4", "a Raspberry Pi 4"),
        Device(
            "phone",
            "a phone-class 64-bit ARM core",
            "edgeseq profile runs there under Termux, or on a board with such a core",
        ),
        Device("laptop", "a computer with an x86-64 or Apple processor"),
    )
}


def device_of(machine: Mapping[str, Any]) -> str | None:
    """The device that a profile's `machine` is, or None when it is none of DEVICES."""
    board = str(machine["board"] or machine["cpu"])
    system, kernel = str(machine.get("system", "")), str(machine.get("kernel", ""))
    words = f"{system} {kernel}".lower().split()
    if "Raspberry Pi" in board:
        if "Zero" in board:
            return "pi-zero"
        return "pi4" if any(name in board for name in ("Pi 4", "Compute Module 4")) else None
    if any(word in X86 for word in words):
        return "laptop"
    if any(word in ARM64 for word in words):
        if "darwin" in words:
            return "laptop"
        # The core of a server is no phone's.
        return None if str(machine.get("core", "")).startswith("Neoverse") else "phone"
    return None
