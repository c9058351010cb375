"""Reading what a scene's text mentions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.scene.mentions import read_xml


@pytest.fixture
def scene(tmp_path: Path):
    def make(text: str, **others: str) -> Path:
        for name, other in others.items():
            (tmp_path / f"{name}.xml").write_text(other)
        path = tmp_path / "scene.xml"
        path.write_text(text)
        return path

    return make


def file_tag(name: str) -> str:
    return f'<shape type="obj"><string name="filename" value="{name}"/></shape>'


def test_comments_are_skipped_and_keep_their_lines(scene):
    text = f"<scene>\n<!-- -- {file_tag('old.obj')}\n -->\n{file_tag('new.obj')}</scene>"
    (mention,) = read_xml(scene(text)).files
    assert (mention.name, mention.place.rpartition(":")[2]) == ("new.obj", "4")


def test_parameters_are_replaced_longest_name_first(scene):
    text = '<scene><default name="a" value="x"/><default name="ab" value="y"/>' + file_tag("$ab.obj") + "</scene>"
    assert read_xml(scene(text)).files[0].name == "y.obj"


def test_an_included_file_sees_the_parameters_of_the_one_that_includes_it(scene):
    main = '<scene><default name="m" value="main"/><include filename="part.xml"/></scene>'
    part = '<scene><default name="m" value="part"/>' + file_tag("$m.obj") + "</scene>"
    path = scene(main, part=part)
    (mention,) = read_xml(path).files
    assert mention.name == "main.obj" and mention.place == f"{path.parent / 'part.xml'}:1"


def test_a_file_that_includes_itself_ends(scene):
    mentions = read_xml(scene('<scene><include filename="scene.xml"/></scene>'))
    assert any("nested" in problem for problem in mentions.problems)


def test_a_path_tag_adds_a_folder(scene, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "m.obj").write_text("")
    mentions = read_xml(scene('<scene><path value="lib"/>' + file_tag("m.obj") + "</scene>"))
    assert mentions.files[0].path == tmp_path / "lib" / "m.obj"
    assert mentions.judge(tmp_path) == []


def test_entities_in_names_are_understood(scene):
    assert read_xml(scene("<scene>" + file_tag("a&amp;b&#32;c.obj") + "</scene>")).files[0].name == "a&b c.obj"


def test_ids_and_plugins_are_noted_with_their_kinds(scene):
    mentions = read_xml(scene("<scene><bsdf type='diffuse' id='m'/><shape type=\"cube\" id=\"c\"/></scene>"))
    assert mentions.ids == {"m": "bsdf", "c": "shape"}
    assert [plugin for _, plugin, _ in mentions.plugins] == ["diffuse", "cube"]


def test_a_directory_is_no_file(scene, tmp_path):
    (tmp_path / "m.obj").mkdir()
    (problem,) = read_xml(scene("<scene>" + file_tag("m.obj") + "</scene>")).judge(tmp_path)
    assert "is a directory" in problem
