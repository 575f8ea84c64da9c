"""Commands that the documents show exist, with the options that are shown."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from edgeseq.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for folder in (".", "docs", "recipes", "benchmarks", "firmware_sim", "export")
    for path in (ROOT / folder).glob("*.md")
    if path.name != "CHANGELOG.md"
)


def shown(page: Path) -> list[str]:
    """The calls of edgeseq in blocks of a shell, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if "edgeseq " in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    for line in shown(page):
        for call in re.findall(r"(?:^|[|/ ])edgeseq (\w.*?)(?= \| |$)", line):
            words = shlex.split(call, comments=True)
            assert words[0] in COMMANDS, line
            module = importlib.import_module(COMMANDS[words[0]][0])
            known = {
                name
                for parameter in module.command.params
                if isinstance(parameter, click.Option)
                for name in (*parameter.opts, *parameter.secondary_opts)
            } | {"--help", "--debug"}
            options = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert options <= known, (line, options - known)


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
