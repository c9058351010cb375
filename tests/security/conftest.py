"""What the tests of refusals share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHOT = "shot: shot_a\nscene: scene.xml\nframes: 1-2\n"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that is there only if something was executed."""
    return tmp_path / "executed"


@pytest.fixture
def shot_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a shot.yaml; returns its path."""

    def write(text: str) -> Path:
        file = tmp_path / "shots" / "shot_a" / "shot.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write
