"""`pipeline preview` says what is wrong before it loads a scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.main import run

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere"),
        (["shot_a", "--camera-path", "orbit"], "--out FILE.mp4"),
        (["shot_a", "--no-serve"], "leaves nothing to do"),
        (["shot_a", "--out", "a.mp4"], "must end in .exr or .png"),
        (["shot_a", "--camera-path", "orbit", "--out", "a.exr"], "must end in .mp4"),
        (["shot_a", "--camera-path", "spiral", "--out", "a.mp4"], "there is no 'spiral'"),
        (["shot_a", "--out", "a.exr", "--resolution", "big"], "--resolution: must be width and height"),
        (["shot_a", "--out", "a.exr", "--steps", "0"], "--steps"),
    ],
)
def test_bad_input_is_told_in_one_line_and_ends_with_two(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(["preview", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (place / "previews").exists()
