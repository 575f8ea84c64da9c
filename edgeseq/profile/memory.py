"""Resident memory of this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["current_rss", "peak_rss"]

STATUS = Path("/proc/self/status")
STATM = Path("/proc/self/statm")


def current_rss() -> int:
    """Bytes of this process in memory now."""
    if STATM.exists():
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def peak_rss() -> int:
    """Most bytes that this process ever had in memory."""
    # Not ru_maxrss where it can be avoided: on Linux it begins with the size of the parent.
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
