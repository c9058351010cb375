"""What may be imported by whom: the light modules stay light."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("mitsuba", "drjit", "torch", "celery", "numpy", "scipy", "redis", "opentimelineio", "pydantic")


def imported_by(code: str, *, among: tuple[str, ...]) -> set[str]:
    """Which of the packages `among` a fresh interpreter has imported after `code`."""
    ask = f"import sys, json\n{code}\nprint(json.dumps([m for m in {among!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["pipeline", "workers"])
def test_importing_the_package_imports_neither_mitsuba_drjit_nor_torch(package: str) -> None:
    assert imported_by(f"import {package}", among=("mitsuba", "drjit", "torch")) == set()


def test_the_help_page_imports_no_heavy_package() -> None:
    code = "from pipeline.cli.main import run\nassert run(['--help']) == 0"
    assert imported_by(code, among=HEAVY) == set()


def test_the_device_module_chooses_nothing_and_imports_nothing_heavy_when_imported() -> None:
    assert imported_by("import pipeline.device", among=HEAVY) == set()


def test_scenes_are_opened_by_modules_that_may_be_imported_before_a_variant_is_set() -> None:
    code = (
        "import mitsuba, pipeline.scene.load, pipeline.radiosity.session, pipeline.match.renders\n"
        "assert mitsuba.variant() is None"
    )
    assert imported_by(code, among=("mitsuba",)) == {"mitsuba"}
