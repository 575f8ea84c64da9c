"""`edgeseq doctor`: findings and exit codes, and faults of sound cards that are simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseq.cli import doctor
from edgeseq.profile.checkup import Finding
from edgeseq.sources.scenarios import SCENARIOS
from tests.cli.process import call, error_of, lines, run_without


def test_this_machine_is_described() -> None:
    done = call("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("good  python", "good  packages    onnxruntime", "words-gru computes what it"):
        assert words in done.stdout


def test_it_runs_where_packages_are_missing() -> None:
    """F9: no sounddevice, no soundfile, no torch: warnings, exit 0; without onnxruntime exit 1."""
    done = run_without(("sounddevice", "soundfile", "torch", "onnx", "rich"), "doctor", "--json")
    found = lines(done.stdout)
    assert [f["words"].split()[0] for f in found if f["state"] == "bad"] == ["rich"]
    assert sum(f["state"] == "warn" and "pip install" in f["advice"] for f in found) >= 2
    assert done.returncode == 1
    done = run_without(("onnxruntime",), "doctor")
    assert done.returncode == 1
    assert "bad   packages    onnxruntime cannot be imported" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("state", "code"), [("good", 0), ("warn", 0), ("bad", 1)])
def test_exit_code(monkeypatch: pytest.MonkeyPatch, state: str, code: int) -> None:
    finding = Finding("x", state, "words\x1b", "do this")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "check_up", lambda: [finding])
    done = call("doctor")
    assert done.returncode == code
    assert "\x1b" not in done.stdout
    assert "-> do this" in done.stdout


def test_every_scenario_is_played() -> None:
    done = call("doctor", "--simulate")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line[0] != " "] == [
        f"good  {name}" for name in SCENARIOS
    ]
    one = lines(call("doctor", "--simulate", "unplug", "--json").stdout)
    assert [s["scenario"] for s in one] == ["unplug"]
    assert one[0]["health"]["losses"] == 1
    assert one[0]["wrong"] == []


SCRIPT = """
name = "Mine"
rate = 16000
channels = 1
takes = []
signal = "both"
drift_ppm = 0
seconds = 12
faults = [{kind = "overflow", at = 2, seconds = 1.5}]
"""


def test_a_script_of_ones_own_is_played(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SCRIPT)
    done = call("doctor", "--simulate", path)
    assert done.returncode == 0
    assert "good  mine" in done.stdout
    assert "heard 10.500, lost 1.500" in done.stdout
    path.write_text(SCRIPT.replace("takes = []", "takes = [{rate = 8000, channels = 1}]"))
    done = call("doctor", "--simulate", path)
    assert done.returncode == 1
    assert "wrong: Mine: does not open" in done.stdout
    path.write_text("rate = 3")
    assert "mine.toml.name: missing" in error_of(call("doctor", "--simulate", path))


def test_an_unknown_scenario_names_the_known() -> None:
    words = error_of(call("doctor", "--simulate", "unplugg"))
    assert "unplugg is neither a file nor one of all, rates-refused" in words
