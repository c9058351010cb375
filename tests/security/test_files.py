"""What files may ask for: no path leads out, nothing in them is executed, nothing small becomes huge. Each is refused
in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.api.sources import checked_overrides, checked_sources
from pipeline.config.load import find_shot, load_shot
from pipeline.config.yaml_file import read_yaml
from pipeline.editorial.otio_file import read_otio
from pipeline.editorial.timeline import read_edit
from pipeline.errors import AssetError, ConfigError, FarmError, PenumbraError, ProductError, StoreError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.store import LocalStore, open_store
from pipeline.scene.mentions import read_xml

Write = Callable[[str], Path]
OUTSIDE = [
    "../x", "a/../../x", "/etc/passwd", "..", "a\x00b", ".hidden", "a//b", "~/x", "a\\..\\b", "%2e%2e/x", "a/./b"
]  # fmt: skip


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and len(str(error)) < 1000


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_shot_cannot_be_called_by_a_path(shot_file: Write, name: str) -> None:
    file = shot_file(f"shot: {json.dumps(name)}\nscene: scene.xml\nframes: 1-2\n")
    (file.parent / "scene.xml").write_text('<scene version="3.0.0"/>')

    with pytest.raises(ConfigError) as refused:
        load_shot(file)
    assert one_line(refused.value)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_store_has_no_file_of_such_a_name(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "store")

    for ask in (store.read, store.exists, store.delete, store.quarantine, lambda name: store.create(name, b"x")):
        with pytest.raises(StoreError):
            ask(name)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_job_and_a_task_cannot_be_called_by_a_path(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "store")

    for job in (name, f"{name}.v001", f"shot.v001/{name}"):
        with pytest.raises((FarmError, StoreError)):
            jobs.load(store, job)
    with pytest.raises(ProductError):
        names.parse(name)


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/../other", "s3://user:key@bucket/x", "s3://bucket/x?endpoint=evil", "http://host/x", "ftp://host/x",
     "file://host/etc", "memory://x", "github://x", "s3://", "s3://buck et/x", "", "reference://x", "simplecache::s3://b"],
)  # fmt: skip
def test_a_store_that_is_none_or_holds_credentials_is_refused(url: str) -> None:
    if url == "simplecache::s3://b":
        with pytest.raises(StoreError):
            open_store(url)
        return
    with pytest.raises(StoreError) as refused:
        open_store(url)
    assert "user:key" not in str(refused.value)


@pytest.mark.parametrize("source", ["../shot_b", "shots/../../x", "/etc", "shot_a/../../x", "x/../y.otio", "..", ""])
def test_a_submission_cannot_leave_the_project(tmp_path: Path, source: str) -> None:
    (tmp_path / "project" / "shots").mkdir(parents=True)
    (tmp_path / "y.otio").write_text("{}")

    with pytest.raises(ConfigError):
        checked_sources([source], tmp_path / "project")


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    shots = tmp_path / "project" / "shots"
    shots.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (shots / "shot_a").symlink_to(tmp_path / "outside")

    with pytest.raises(ConfigError, match="leads out"):
        checked_sources(["shot_a"], tmp_path / "project")


@pytest.mark.parametrize(
    "overrides",
    [{"scene": "/etc/passwd"}, {"materials.floor": "/etc"}, {"sampling.importance": "/etc/passwd"},
     {"denoise.lambda_map": "x.exr"}, {"sampling": {"importance": "x"}}, {"output.path": "/etc/cron.d/x"},
     {"sampling.importance.path": "x"}, {"sampling.max_spp": {"a": 1}}, {"sampling.max_spp": ["x" * 9]}],
)  # fmt: skip
def test_a_submission_cannot_name_files_of_the_server(overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        checked_overrides(overrides)


# --- YAML ---------------------------------------------------------------------------------------------------------


LAUGHS = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True))
TAGS = [
    "!!python/object/apply:os.system ['touch {trap}']",
    "!!python/object/new:subprocess.Popen [['touch', '{trap}']]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!binary aGVsbG8=",
    "!include /etc/passwd",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {trap}']",
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_in_a_configuration_is_refused_and_not_made(shot_file: Write, trap: Path, tag: str) -> None:
    file = shot_file(f"shot: shot_a\nscene: scene.xml\nframes: {tag.format(trap=trap)}\n")

    with pytest.raises(ConfigError, match="tag") as refused:
        load_shot(file)
    assert refused.value.line == 3 and one_line(refused.value) and not trap.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [(LAUGHS, "anchor"), ("a: *x\n", "alias"), ("a: " + "[" * 100_000, "nested"), ("a: " + "9" * 100_000, "digits"),
     ("<<: {a: 1}\nb: &b {<<: *b}\n", "anchor"), ("#" * (1 << 21), "MiB"), ("a: {" * 5_000, "nested")],
)  # fmt: skip
def test_a_bomb_of_yaml_is_refused_before_it_grows(shot_file: Write, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        read_yaml(shot_file(text))
    assert one_line(refused.value)


def test_values_on_the_command_line_are_plain(trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.cli.main import run

    for tag in TAGS[:2]:
        assert run(["adjust", "shot_010", f"pool={tag.format(trap=trap)}"]) == 2
    capsys.readouterr()
    assert not trap.exists()


# --- OpenTimelineIO -----------------------------------------------------------------------------------------------


def edit(tmp_path: Path, shot: Any, **clip: Any) -> Path:
    at = {"OTIO_SCHEMA": "RationalTime.1", "rate": 24.0}
    range_ = {"OTIO_SCHEMA": "TimeRange.1", "start_time": {**at, "value": 1.0}, "duration": {**at, "value": 2.0}}
    item = {"OTIO_SCHEMA": "Clip.1", "name": "c", "source_range": range_, "metadata": {"penumbra": {"shot": shot}}}
    item["media_reference"] = None
    track = {"OTIO_SCHEMA": "Track.1", "kind": "Video", "children": [{**item, **clip}]}
    stack = {"OTIO_SCHEMA": "Stack.1", "children": [track]}
    file = tmp_path / "edit.otio"
    file.write_text(json.dumps({"OTIO_SCHEMA": "Timeline.1", "tracks": stack}))
    return file


@pytest.mark.parametrize("name", [*OUTSIDE, 7, None, [], {"a": 1}, "x" * 10_000])
def test_an_edit_cannot_name_a_shot_by_a_path(tmp_path: Path, name: Any) -> None:
    found = read_edit(edit(tmp_path, name))

    assert not found.shots and found.problems and all("\n" not in problem for problem in found.problems)


def test_media_of_an_edit_are_not_opened(tmp_path: Path) -> None:
    for url in ("file:///etc/passwd", "http://169.254.169.254/latest", "../../../etc/passwd"):
        media = {"OTIO_SCHEMA": "ExternalReference.1", "target_url": url}
        found = read_edit(edit(tmp_path, "shot_a", media_reference=media))
        assert [shot.name for shot in found.shots] == ["shot_a"]


@pytest.mark.parametrize(
    "text", ["{" * 100_000, '{"a":' * 50_000, '{"OTIO_SCHEMA": "Timeline.1", "tracks": null}', "[" * 401 + "]" * 401]
)
def test_an_edit_that_would_end_the_process_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bomb.otio"
    file.write_text(text)

    with pytest.raises(ConfigError) as refused:
        read_otio(file)
    assert one_line(refused.value)


# --- scenes and assets --------------------------------------------------------------------------------------------


ENTITIES = [
    '<!DOCTYPE scene [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<scene version="3.0.0">&x;</scene>',
    '<!DOCTYPE scene SYSTEM "http://169.254.169.254/x.dtd">\n<scene version="3.0.0"/>',
    '<!doctype s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<scene version="3.0.0">&b;</scene>',
]


@pytest.mark.parametrize("text", ENTITIES)
def test_a_scene_with_entities_is_refused_before_it_is_parsed(tmp_path: Path, text: str) -> None:
    scene = tmp_path / "scene.xml"
    scene.write_text(text)

    (problem,) = read_xml(scene).judge(tmp_path)

    assert problem == f"{scene}:1: a DOCTYPE is not allowed in a scene: entities are not read"


def test_a_scene_that_includes_itself_ends(tmp_path: Path) -> None:
    scene = tmp_path / "scene.xml"
    scene.write_text('<scene version="3.0.0"><include filename="scene.xml"/></scene>')

    (problem,) = read_xml(scene).judge(tmp_path)

    assert "includes are nested more than" in problem


@pytest.mark.parametrize("tag", TAGS[:3])
def test_an_asset_s_record_is_plain_data(tmp_path: Path, trap: Path, tag: str) -> None:
    from pipeline.scene.captured_asset import read

    (tmp_path / "asset.yaml").write_text(f"format: {tag.format(trap=trap)}\n")

    with pytest.raises(AssetError, match="tag"):
        read(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize("where", ["shot\x00a", "a\nb", "x" * 5_000])
def test_the_name_of_a_shot_that_is_no_name_is_told_in_one_line(where: str) -> None:
    with pytest.raises(PenumbraError) as refused:
        find_shot(where)
    assert one_line(refused.value)
