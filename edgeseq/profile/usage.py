"""What the operating system counts of this process."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Self

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts since the start of the process; of two moments, the difference.

    Attributes:
        wall_s: time by the clock.
        cpu_s: processor time of all threads.
        minor_faults: pages that were mapped without reading a disk.
        major_faults: pages that were read from a disk.
        voluntary_switches: how often the process waited for something.
        involuntary_switches: how often another program was given the core.
    """

    wall_s: float
    cpu_s: float
    minor_faults: int | None
    major_faults: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None

    @classmethod
    def now(cls) -> Self:
        """The counts at this moment; None for what the system does not count."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            import resource
        except ImportError:
            return cls(wall, cpu, None, None, None, None)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(wall, cpu, used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw)

    def __sub__(self, before: Self) -> Self:
        """What was counted since `before`."""
        return type(self)(
            self.wall_s - before.wall_s,
            self.cpu_s - before.cpu_s,
            _less(self.minor_faults, before.minor_faults),
            _less(self.major_faults, before.major_faults),
            _less(self.voluntary_switches, before.voluntary_switches),
            _less(self.involuntary_switches, before.involuntary_switches),
        )

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values by name."""
        return asdict(self)


def _less(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b
