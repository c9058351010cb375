"""Values are changed in place; every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.edit import edit_file, with_value
from pipeline.errors import ConfigError

SHOT = """# An evening room.
shot: room   # its name

frames: 1-8
denoise: {backend: kpcn,   lambda: 2}  # steered
sampling:
    # few samples
    max_spp: 64
"""


@pytest.mark.parametrize(
    ("keys", "value", "before", "after"),
    [
        (("denoise", "lambda"), 3.5, "lambda: 2}", "lambda: 3.5}"),
        (("denoise", "preset"), "paper", "lambda: 2}", "lambda: 2, preset: paper}"),
        (("sampling", "first_spp"), 8, "    max_spp: 64", "    first_spp: 8\n    max_spp: 64"),
        (("priority",), 7, "    max_spp: 64\n", "    max_spp: 64\npriority: 7\n"),
        (("preview", "preset"), "fast", "    max_spp: 64\n", "    max_spp: 64\npreview: {preset: fast}\n"),
    ],
)
def test_a_value_is_written_and_all_else_stays(keys: tuple[str, ...], value: object, before: str, after: str) -> None:
    assert with_value(SHOT, keys, value) == SHOT.replace(before, after)  # type: ignore[arg-type]


def test_a_key_without_a_value_gets_one() -> None:
    assert with_value("denoise:\nshot: a\n", ("denoise", "lambda"), 2) == "denoise: {lambda: 2}\nshot: a\n"
    assert with_value("denoise: null # none\n", ("denoise", "lambda"), 2) == "denoise: {lambda: 2} # none\n"


def test_a_file_is_edited_in_one_step_and_keeps_its_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "shot.yaml"
    file.write_bytes(SHOT.replace("\n", "\r\n").encode())

    edit_file(file, {"denoise.lambda": 1.25, "denoise.lambda_map": "maps/λ one.exr"})

    told = file.read_bytes().decode()
    assert "lambda: 1.25, lambda_map: 'maps/λ one.exr'}  # steered\r\n" in told
    assert [each.name for each in tmp_path.iterdir()] == ["shot.yaml"]


def test_what_cannot_hold_a_value_is_refused_and_left(tmp_path: Path) -> None:
    file = tmp_path / "shot.yaml"
    file.write_text("denoise: kpcn\n")

    with pytest.raises(ConfigError, match=r"denoise holds no keys"):
        edit_file(file, {"denoise.lambda": 2.0})

    assert file.read_text() == "denoise: kpcn\n"
