"""The sample edit cuts both shots, and is what its script makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipeline.editorial.timeline import load_edit_shots, read_edit

SHOTS = Path(__file__).resolve().parents[2] / "shots"


def test_the_edit_is_what_the_script_makes(tmp_path: Path) -> None:
    again = tmp_path / "edit.otio"
    subprocess.run([sys.executable, str(SHOTS / "make_edit.py"), str(again)], check=True, timeout=60)
    assert json.loads(again.read_text()) == json.loads((SHOTS / "edit.otio").read_text())


def test_the_edit_names_both_shots_with_their_frames() -> None:
    shots = load_edit_shots(read_edit(SHOTS / "edit.otio"))
    assert {shot.shot: shot.frame_list for shot in shots} == {
        "shot_010": list(range(1001, 1009)),
        "shot_020": list(range(1001, 1007)),
    }
