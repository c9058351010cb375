import json

import pytest

from pipeline.editorial.otio_file import read_otio
from pipeline.errors import ConfigError


@pytest.fixture
def refusal(tmp_path):
    def refusal(text, name="edit.otio"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as error:
            read_otio(path)
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(str(path))
        return str(error.value)

    return refusal


@pytest.mark.parametrize("keep", [0, 1, 50, 500, -2])
def test_a_truncated_edit_is_one_clear_line(write, clip, refusal, keep):
    whole = write(clip("a")).read_text()
    told = refusal(whole[:keep])
    assert "is empty" in told or "truncated" in told


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        '"text"',
        '{"a": 1}',
        '{"OTIO_SCHEMA": "Nonsense.1"}',
        '{"OTIO_SCHEMA": "Gap.1"}',
        '{"OTIO_SCHEMA": "Timeline.1"}',
        '{"OTIO_SCHEMA": "Timeline.1", "tracks": null}',
        '{"OTIO_SCHEMA": "Timeline.1", "tracks": {"OTIO_SCHEMA": "Clip.1"}}',
        '{"OTIO_SCHEMA": "Timeline.999", "tracks": {"OTIO_SCHEMA": "Stack.1"}}',
        '{"OTIO_SCHEMA": "SerializableCollection.1", "children": [{"OTIO_SCHEMA": "Timeline.1", "tracks": null}]}',
        '{"OTIO_SCHEMA": "Timeline.1", "metadata": {"a": ' + "1" * 6000 + "}}",
        '{"OTIO_SCHEMA": "Timeline.1", "tracks": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"OTIO_SCHEMA": "Timeline.1", "tracks": {"a": ' + "[" * 500 + "]" * 500 + "}}",
    ],
    ids=range(14),
)
def test_what_is_no_edit_is_one_clear_line(refusal, text):
    refusal(text)


def test_a_newer_schema_is_refused(write, clip, refusal):
    data = json.loads(write(clip("a")).read_text())
    data["OTIO_SCHEMA"] = "Timeline.99"
    assert "schema" in refusal(json.dumps(data))


def test_bytes_that_are_not_utf_8_are_refused(refusal):
    assert "UTF-8" in refusal(b"\xff\xfe{}")


def test_other_formats_are_refused_with_what_to_do(refusal):
    assert "otioconvert" in refusal("TITLE: x", name="edit.edl")


def test_a_missing_edit_is_told_with_the_nearest_file(write, clip):
    path = write(clip("a"))
    with pytest.raises(ConfigError, match=r"there is no such edit \(did you mean edit\.otio\?\)"):
        read_otio(path.with_name("edits.otio"))


def test_a_directory_is_no_edit(tmp_path):
    (tmp_path / "dir.otio").mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        read_otio(tmp_path / "dir.otio")
