"""The units of bare-metal farms: systemd accepts them, and they keep what they run in bounds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def value(unit: Path, key: str) -> list[str]:
    text = unit.read_text().replace("\\\n", " ")
    return re.findall(rf"^{key}=(.*)$", text, flags=re.MULTILINE)


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """As they are installed, with programs that stand for ours."""
    place = tmp_path / "etc" / "systemd" / "system"
    place.mkdir(parents=True)
    for unit in UNITS:
        text = unit.read_text()
        for program in set(re.findall(r"^ExecStart=(\S+)", text, flags=re.MULTILINE)):
            text = text.replace(f"ExecStart={program}", "ExecStart=/bin/true")
        (place / unit.name.replace("@.", "@0.")).write_text(text)

    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, place.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )

    mine = [line for line in told.stderr.splitlines() if "penumbra" in line]
    assert told.returncode == 0 and mine == [], told.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_exposure_of_a_unit_is_bounded(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@.", "@0.")
    copy.write_text(unit.read_text())

    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=55", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout[-300:] + told.stderr


def test_workers_end_their_task_before_they_end() -> None:
    workers = [unit for unit in UNITS if "worker" in unit.name]

    assert len(workers) == 2
    for unit in workers:
        assert value(unit, "KillMode") == ["mixed"] and value(unit, "TimeoutStopSec") == ["15min"]
        assert value(unit, "Restart") == ["always"] and value(unit, "OOMPolicy") == ["continue"]


def test_each_unit_has_the_password_of_its_role_alone() -> None:
    roles = {unit.name: [Path(each).name for each in value(unit, "EnvironmentFile")] for unit in UNITS}

    assert roles == {
        "penumbra-api.service": ["control", "farm.env"],
        "penumbra-flower.service": ["monitor", "farm.env"],
        "penumbra-redis.service": [],
        "penumbra-worker-cpu.service": ["worker", "farm.env"],
        "penumbra-worker-cuda@.service": ["worker", "farm.env"],
    }
    assert {tuple(value(unit, "User")) for unit in UNITS} == {("penumbra",)}


def test_options_of_the_units_are_options_of_the_commands() -> None:
    from pipeline.cli.api import serve
    from pipeline.cli.worker import worker

    known = {"worker": worker, "api serve": serve}
    for unit in UNITS:
        for line in value(unit, "ExecStart"):
            for name, command in known.items():
                if f"/pipeline {name} " in line:
                    options = {each for parameter in command.params for each in parameter.opts}
                    assert set(re.findall(r"(--[\w-]+)", line)) <= options, unit.name
