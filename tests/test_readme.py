"""Every Python block of the README runs, and every edgeseq command in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeseq.cli import COMMANDS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})


def test_commands_exist() -> None:
    named = set(re.findall(r"^\s*(?:.*\| )?edgeseq (\w+)", README, re.MULTILINE))
    assert {"stream", "compare", "info", "verify", "train", "export"} <= named <= set(COMMANDS)
