"""Mapping files: those of the package, those of a user, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.denoise.sequence.layers import recognises
from pipeline.denoise.sequence.mapping import PACKAGED, channels, load
from pipeline.errors import ConfigError


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_mapping_is_sound(name: str) -> None:
    assert load(name).read.beauty


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ViewLayer.Combined.R", "ViewLayer.Combined.G"], "cycles"),
        (["R", "G", "B", "mse.r"], "renderman"),
        (["R", "G", "B", "diffuse_albedo.R"], "arnold"),
        (["R", "noisy.R", "motion.backward.V"], "penumbra"),
    ],
)
def test_a_file_is_recognised_by_one_mapping(names: list[str], expected: str) -> None:
    assert [name for name in PACKAGED if recognises(load(name), names)] == [expected]


def test_braces_name_one_channel_after_another() -> None:
    assert channels("a.{X, Y}.b") == ("a.X.b", "a.Y.b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read: {}\n", r"m\.yaml:1: read\.beauty: missing"),
        ("read:\n  beauty: []\n", r"m\.yaml:2: read\.beauty: must not be empty"),
        ("read:\n  beauty: 'C.{R,G}'\n", r"m\.yaml:2: read\.beauty: 'C\.\{R,G\}' names 2 channels; this layer has 3"),
        ("read:\n  beauty: '{R,G,B}'\n  colour: R\n", r"m\.yaml:3: read\.colour: unknown key"),
        ("read:\n  beauty: '{R,G,B}'\n  forward: {sum: ['{X,Y}'], scale: [1, 2, 3]}\n", r"m\.yaml:3: .*3 numbers"),
        ("read:\n  beauty: {sum: ['{R,G,B}', 'e.{R,G,B}']}\n", "cannot be written back"),
        ("read:\n  beauty: '{R,G,B}'\nwrite: {diffuse: 'd.{R,G,B}'}\n", "written together or not at all"),
        ("read: [\n", r"m\.yaml:2: malformed YAML"),
        ("", "is empty"),
    ],
)
def test_a_wrong_file_is_told_with_its_place_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message) as caught:
        load(str(path))

    assert "\n" not in str(caught.value)


def test_unknown_names_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--mapping: unknown mapping `cycle` \(did you mean cycles\?\)"):
        load("cycle")
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load(str(tmp_path / "absent.yaml"))


def test_the_mapping_of_the_guide_is_sound(tmp_path: Path) -> None:
    guide = Path(__file__).parents[3] / "docs" / "guide" / "denoise.md"
    example = guide.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "own.yaml").write_text(example, encoding="utf-8")

    assert set(load(str(tmp_path / "own.yaml")).read.layers()) == {
        "beauty", "alpha", "albedo", "normal", "diffuse", "backward"
    }  # fmt: skip
