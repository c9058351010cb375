"""Names of plugins, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

from pipeline.scene import names


def test_the_plugins_of_the_installed_mitsuba_are_known():
    assert {"sphere", "roughplastic", "path", "volpath", "prb", "hdrfilm", "scene", "rgb"} <= names.plugins()
    assert "spher" not in names.plugins()


def test_the_name_most_alike_is_suggested():
    assert names.meant("Reflectence", ["roughness", "reflectance"]) == " (did you mean 'reflectance'?)"
    assert names.meant("zzz", ["roughness", "reflectance"]) == ""


def test_a_file_is_suggested_from_its_folder_or_by_its_name_elsewhere(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Wood.jpg").touch()
    assert names.meant_file(tmp_path / "a" / "wood.jpg", tmp_path) == " (did you mean 'Wood.jpg'?)"
    assert names.meant_file(tmp_path / "b" / "wood.JPG", tmp_path) == " (there is a/Wood.jpg)"
    assert names.meant_file(tmp_path / "stone.png", tmp_path) == ""
