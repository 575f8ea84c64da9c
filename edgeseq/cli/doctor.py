"""`edgeseq doctor`: what this machine lacks, and how faults of sound cards are met."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ..errors import ConfigError
from ..profile.checkup import check_up
from ..sources.scenarios import SCENARIOS, Outcome, Scenario, play
from ..sources.simulated import Script
from .lines import visible

ALL = "all"


@click.command()
@click.option(
    "--simulate", metavar="[NAME|FILE]", is_flag=False, flag_value=ALL, default=None,
    help="Play faults of sound cards (all, one by name, or a script in TOML) in simulated time.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per finding.")
@click.pass_context
def command(ctx: click.Context, simulate: str | None, as_json: bool) -> None:
    """Look at Python, packages, models, microphones and the processor, and say what to do.

    Exit code 0 when everything needed works (warnings are about extras and speed), 1 when
    something does not.
    """
    good = _check(as_json) if simulate is None else _simulate(simulate, as_json)
    if not good:
        ctx.exit(1)


def _check(as_json: bool) -> bool:
    good = True
    for finding in check_up():
        good = good and finding.state != "bad"
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)
            continue
        print(f"{finding.state:4}  {finding.check:10}  {visible(finding.words)}", flush=True)
        if finding.advice:
            print(f"{'':16}-> {visible(finding.advice)}")
    return good


def _simulate(name: str, as_json: bool) -> bool:
    good = True
    for key, scenario in _chosen(name).items():
        outcome = play(scenario.script)
        wrong = outcome.faults(scenario)
        good = good and not wrong
        if as_json:
            print(json.dumps({"scenario": key, **asdict(outcome), "wrong": wrong}), flush=True)
        else:
            _show(key, scenario, outcome, wrong)
    return good


def _chosen(name: str) -> dict[str, Scenario]:
    if name == ALL:
        return SCENARIOS
    if name in SCENARIOS:
        return {name: SCENARIOS[name]}
    path = Path(name)
    if not path.exists():
        raise ConfigError(
            f"--simulate: {name} is neither a file nor one of {', '.join((ALL, *SCENARIOS))}"
        )
    return {path.stem: Scenario(f"the script {path}", Script.read(path))}


def _show(key: str, scenario: Scenario, outcome: Outcome, wrong: list[str]) -> None:
    print(f"{'bad ' if wrong else 'good'}  {visible(key)}: {visible(scenario.words)}", flush=True)
    if outcome.health is not None:
        print(
            f"      {outcome.passed_seconds:.1f} s: heard {outcome.heard_seconds:.3f}, "
            f"lost {outcome.lost_seconds:.3f}"
        )
    for words in (*outcome.notes, *filter(None, [outcome.error])):
        print(f"      it says: {visible(words)}")
    for words in wrong:
        print(f"      wrong: {visible(words)}")
