"""Small facts about the machine, for the caption of a measurement."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["Machine", "this_machine"]

BOARD = Path("/proc/device-tree/model")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where something was measured.

    Attributes:
        cpu: name of the board or of the processor.
        cores: cores that this process may use.
        system: operating system and architecture.
        python: version of Python.
        onnxruntime: version of onnxruntime, or "not installed".
    """

    cpu: str
    cores: int
    system: str
    python: str
    onnxruntime: str

    def as_dict(self) -> dict[str, object]:
        """Plain values by name."""
        return asdict(self)

    def sentence(self) -> str:
        """All of it in one line."""
        return (
            f"{self.cpu}, {self.cores} core{'s' if self.cores > 1 else ''}, {self.system}, "
            f"Python {self.python}, onnxruntime {self.onnxruntime}"
        )


def this_machine() -> Machine:
    """Facts about the machine that this runs on."""
    return Machine(_cpu(), _cores(), _system(), platform.python_version(), _version("onnxruntime"))


def _cpu() -> str:
    if BOARD.exists():
        return BOARD.read_text().strip("\0\n ")
    if CPUINFO.exists():
        for line in CPUINFO.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown processor"


def _cores() -> int:
    # The cores of a container or of taskset, not those of the whole machine.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError, AttributeError):
        name = f"{platform.system()} {platform.release()}"
    return f"{name} {platform.machine()}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
