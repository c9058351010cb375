import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.yaml_file import MAX_BYTES, read_yaml
from pipeline.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "shot.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path)

    return read


def refusal(read, text):
    with pytest.raises(ConfigError) as error:
        read(text)
    return error.value


def test_scalars_follow_the_core_schema_of_yaml_1_2(read):
    file = read(
        "a: yes\nb: true\nc: 010\nd: 0x1F\ne: 1e-2\nf: ~\ng: '1'\n"
        "h: 1001-1008\ni: 2020-01-01\nj: .inf\nk: 1_000\nl: -.5\nm:\n"
    )
    assert file.data == {
        "a": "yes", "b": True, "c": 10, "d": 31, "e": 0.01, "f": None, "g": "1", "h": "1001-1008", "i": "2020-01-01",
        "j": math.inf, "k": "1_000", "l": -0.5, "m": None,
    }  # fmt: skip


def test_frames_are_integer_keys_and_other_keys_are_text(read):
    assert read("a: {1001: x, -3: y, on: z, 1.5: w}").data == {"a": {1001: "x", -3: "y", "on": "z", "1.5": "w"}}


def test_every_value_knows_its_line(read):
    file = read("# comment\nshot: a\n\nsampling:\n  seed: 1\n  list:\n    - 5\n    - {deep: 6,\n       deeper: 7}\n")
    assert file.lines[("shot",)] == 2
    assert file.lines[("sampling", "seed")] == 5
    assert file.lines[("sampling", "list", "0")] == 7
    assert file.lines[("sampling", "list", "1", "deep")] == 8
    assert file.lines[("sampling", "list", "1", "deeper")] == 9


def test_duplicate_keys_are_all_refused_with_both_lines(read):
    error = refusal(read, "a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert str(error).splitlines()[0].endswith("shot.yaml:2: b.c: appears twice, first in line 2")
    assert str(error).splitlines()[1].endswith("shot.yaml:3: a: appears twice, first in line 1")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb:\n\t- c\n", 3, "tabs"),
        ("a: 1\nb: 'x\n", 2, "malformed"),
        ("a: 1\nb: c: d\n", 2, "malformed"),
        ("a: [1, 2\n", 1, "malformed"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, "tag"),
        ("a: !!str 1\n", 1, "tag"),
        ("a: &x [1]\nb: *x\n", 1, "anchor &x"),
        ("b: *x\n", 1, "alias"),
        ("? [a]\n: 1\n", 1, "key"),
        ("- a\n", 1, "keys and values"),
        ("just text\n", 1, "keys and values"),
        ("a: " + "1" * 5000, 1, "digits"),
        ("a: 0x" + "f" * 5000, 1, "digits"),
        ("a: " + "[" * 40000, 1, "nested deeper"),
    ],
)
def test_what_is_unsafe_or_malformed_is_one_line_with_its_place(read, text, line, what):
    error = refusal(read, text)
    assert error.line == line
    assert what in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "null\n", "---\n"])
def test_an_empty_file_is_called_empty(read, text):
    assert str(refusal(read, text)).endswith("is empty")


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(read):
    error = refusal(read, b"a: 1\nb: \xff\n")
    assert error.line == 2
    assert "UTF-8" in str(error)


def test_a_byte_order_mark_is_no_part_of_the_first_key(read):
    assert read(b"\xef\xbb\xbfshot: a\n").data == {"shot": "a"}


def test_a_nul_byte_is_refused(read):
    assert "malformed" in str(refusal(read, b"a: \x00\n"))


def test_a_huge_file_is_refused_unread(read):
    assert "1 MiB" in str(refusal(read, b"#" * (MAX_BYTES + 1)))


def test_missing_files_and_directories_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not a file"):
        read_yaml(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:- \n\t[]{}'\"&*!|>?#,1.%~\\", max_size=60))
def test_any_text_is_a_mapping_or_one_clear_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    try:
        file = read_yaml(path)
    except ConfigError as error:
        assert str(error).startswith(str(path))
    else:
        assert set(file.lines) >= {(str(key),) for key in file.data}
