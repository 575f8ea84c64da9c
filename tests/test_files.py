"""Files appear when they are complete, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FULL_DISK = """
import resource, sys
from pathlib import Path
from edgeseq.files import write_whole

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), bytes(5000))
except OSError:
    sys.exit(7)
"""


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    assert subprocess.run([sys.executable, "-c", FULL_DISK, path]).returncode == 7
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
