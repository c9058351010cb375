"""Mitsuba's complaints, made readable."""

from __future__ import annotations

import pytest

from pipeline.scene import complaints

BLOB = "0123456789abcdef" * 4 + ".obj"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            '[parser.cpp:1718] At /a/scene.xml (line 3, col 25): failed to instantiate shape plugin of type "obj": '
            f'[OBJMesh] Error while loading OBJ file "/blobs/{BLOB}": invalid face',
            "/a/scene.xml:3: shape 'obj': Error while loading OBJ file \"m.obj\": invalid face",
        ),
        (
            "[parser.cpp:451] Error while loading /a/scene.xml (line 3, col 2): while processing <include>:\n"
            '[parser.cpp:1050] Parsing of XML file "/a/part.xml" failed: Start-end tags mismatch (line 9, col 1)',
            "/a/part.xml:9: malformed XML: start-end tags mismatch",
        ),
        (
            '[parser.cpp:1] At dictionary node "walls.bsdf": failed to instantiate bsdf plugin of type "x": no',
            "/a/scene.py: walls.bsdf: bsdf 'x': no",
        ),
        ("something\n  odd", "/a/scene.py: something odd"),
    ],
)
def test_a_complaint_becomes_one_line_with_its_place_first(message, line):
    assert complaints.one_line(message, "/a/scene.py", {BLOB: "m.obj"}) == line


def test_each_unused_property_gets_a_line():
    message = (
        "WARN [parser.cpp:444] While loading /a/scene.xml (line 7, col 2): Found 2 unreferenced properties in "
        'shape plugin of type "cube":\n  - float "foo": 2\n  - string "bar": "2"'
    )
    assert complaints.unused_properties(message, "/a/scene.xml") == [
        "/a/scene.xml:7: shape 'cube' has no property 'foo'",
        "/a/scene.xml:7: shape 'cube' has no property 'bar'",
    ]
    assert complaints.unused_properties("WARN something else", "/a/scene.xml") == []
