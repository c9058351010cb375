"""The sample shots, and their assets made anew in a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHOTS = Path(__file__).resolve().parents[2] / "shots"


@pytest.fixture(scope="session", params=["shot_010", "shot_020"])
def remade(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the shot's folder, a folder with the same assets, made now)."""
    shot = SHOTS / request.param
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run([sys.executable, str(shot / "make_assets.py"), str(folder)], check=True, timeout=120)
    return shot, folder
