"""Overrides written into a shot file: nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.write_overrides import write_overrides
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

SHOT = """# A shot.
shot: a  # its name
frames: "1-2"

overrides:  # by hand
  # the key light
  lamp: {intensity: 2.0}  # as graded
  oak:
    reflectance: [0.1, 0.2, 0.3]
# what follows
sampling: {seed: 1}   # spaced
"""


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    path = tmp_path / "shot.yaml"
    path.write_text(SHOT)
    return path


def test_values_are_set_and_every_comment_stays(shot):
    write_overrides(shot, {"lamp": {"translate": [0.123456789, 0.0, -1.0]}, "camera": {"fov": 41.23456789}})
    data = read_yaml(shot).data["overrides"]
    assert data["lamp"] == {"intensity": 2.0, "translate": [0.123457, 0.0, -1.0]}
    assert data["oak"] == {"reflectance": [0.1, 0.2, 0.3]} and data["camera"] == {"fov": 41.2346}
    text = shot.read_text()
    for comment in ("# A shot.", "# its name", "# by hand", "# the key light", "# as graded", "# what follows"):
        assert text.count(comment) == 1
    before, after = SHOT.partition("overrides:")[0], SHOT[SHOT.index("# what follows") :]
    assert text.startswith(before) and text.endswith(after)
    assert [path.name for path in shot.parent.iterdir()] == ["shot.yaml"]


def test_a_file_without_overrides_gets_them_at_its_end(shot):
    plain = SHOT[: SHOT.index("overrides:")] + "sampling: {seed: 1}"
    shot.write_text(plain)
    write_overrides(shot, {"lamp": {"intensity": 0.5, "texture": "overrides/a.exr"}})
    assert shot.read_text() == plain + "\n\noverrides:\n  lamp: {intensity: 0.5, texture: overrides/a.exr}\n"


def test_a_file_that_cannot_be_edited_safely_is_left_alone(shot):
    shot.write_text("overrides: {lamp:\n{intensity: 1.0}}\nshot: a\n")
    before = shot.read_text()
    with pytest.raises(ConfigError, match="cannot be edited"):
        write_overrides(shot, {"lamp": {"intensity": 2.0}})
    assert shot.read_text() == before and len(list(shot.parent.iterdir())) == 1
