"""The process that parses, checks and freezes the scenes of a shot: `python -m pipeline.scene.freezing FOLDER`.

It reads `FOLDER/request.json` and writes `FOLDER/answer.json`. `FOLDER/stage` says what it is at, for the case that a
scene ends it: Mitsuba aborts on some inputs, and a Python scene may do anything.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from pipeline.errors import DeviceError, PenumbraError
from pipeline.scene import blobs
from pipeline.scene.mentions import Mentions, read_xml
from pipeline.scene.spec import EVERY_FRAME, FrozenScene

__all__ = ["Answer", "Request", "main"]


@dataclass(frozen=True)
class Request:
    """What to freeze.

    Attributes:
        scenes: frame → absolute path of its scene file.
        varies: whether each frame is frozen by itself (a pattern, or Python).
        config: the shot config as JSON values.
        directory: of the shot, absolute.
        blobs: directory of the blobs, absolute.
        copy_limit: bytes; larger files are referenced, not copied.
    """

    scenes: dict[str, str]
    varies: bool
    config: dict[str, Any]
    directory: str
    blobs: str
    copy_limit: int


@dataclass
class Answer:
    """The frozen scenes by frame (or `"*"`), unless there are problems."""

    frozen: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def main(folder: Path) -> None:
    """Answers the request in `folder`."""
    request = Request(**json.loads((folder / "request.json").read_text()))
    answer = Answer()
    try:
        _answer(request, answer, folder / "stage")
    except PenumbraError as error:
        answer.problems.append(str(error))
    (folder / "answer.json").write_text(json.dumps(asdict(answer)))


def _answer(request: Request, answer: Answer, stage: Path) -> None:
    import mitsuba as mi

    from pipeline import device

    warnings = []
    try:
        device.set_variant()
    except DeviceError as error:
        warnings.append(f"scenes were checked without a device: {error}")
        mi.set_variant("scalar_rgb")
    from pipeline.scene import materials, preflight

    sources = list(_sources(request, stage))
    for source in sources:
        answer.problems += source.mentions.judge(source.path.parent)
    answer.problems += preflight.check_camera(request.config, sorted(int(frame) for frame in request.scenes))
    answer.problems += preflight.check_integrator(request.config["sampling"]["integrator"])
    answer.problems += materials.problems_of(request.config.get("materials") or {}, Path(request.directory))
    if answer.problems:
        for source in sources:
            ids, shapes = source.mentions.ids, source.mentions.ids_of("shape")
            answer.problems += preflight.check_ids(source.path.name, request.config, ids, shapes)
        return
    log = preflight.WarningLog.install()
    made: set[str] = set()
    for source in sources:
        stage.write_text(f"loading {source.name}")
        _freeze(request, source, answer, log, warnings, made)
    for scene in answer.frozen.values():
        scene["warnings"] = list(dict.fromkeys(warnings))
    kept = {scene["xml"] for scene in answer.frozen.values()}
    if len(kept) == 1 and len(answer.frozen) == len(request.scenes) and EVERY_FRAME not in answer.frozen:
        answer.frozen = {EVERY_FRAME: next(iter(answer.frozen.values()))}


@dataclass
class _Source:
    """One scene to freeze, before Mitsuba's parser has seen it."""

    key: str  # frame, or "*"
    path: Path
    mentions: Mentions
    scene: dict[str, Any] | None  # of a Python scene

    @property
    def name(self) -> str:
        return f"{self.path}" + (f", frame {self.key}" if self.scene is not None else "")


def _sources(request: Request, stage: Path) -> Iterator[_Source]:
    scenes = {frame: Path(path) for frame, path in request.scenes.items()}
    builders: dict[Path, Any] = {}
    for frame, path in scenes.items():
        key = frame if request.varies else EVERY_FRAME
        if path.suffix.lower() != ".py":
            stage.write_text(f"reading {path}")
            yield _Source(key, path, read_xml(path), None)
        else:
            from pipeline.scene import python_source

            stage.write_text(f"running build({frame}) of {path}")
            if path not in builders:
                builders[path] = python_source.load_builder(path)
            scene, mentions = python_source.read_dict(python_source.build(builders[path], path, int(frame)), path)
            yield _Source(key, path, mentions, scene)
        if not request.varies:
            return


def _freeze(request: Request, source: _Source, answer: Answer, log: Any, warnings: list[str], made: set[str]) -> None:
    """Parses one scene, checks it, and puts it and its files into the blob directory.

    Args:
        made: blobs that were seen loading by now; added to. Scenes after the first are made only if they have others.
    """
    import mitsuba as mi

    from pipeline.scene import complaints, frozen_overrides, frozen_xml, live_objects, materials, neural_maps, preflight

    directory, shown = Path(request.blobs), str(source.path)
    try:
        state = _parse(source)
    except RuntimeError as error:
        answer.problems.append(complaints.one_line(str(error), shown, {}))
        return
    if state.root.props.plugin_name() != "scene":
        answer.problems.append(f"{shown}: holds a '{state.root.props.plugin_name()}', not a scene")
        return
    frozen_xml.name_nodes(state)
    materials.replace(state, request.config.get("materials") or {}, Path(request.directory))
    files: dict[str, str] = {}
    references: dict[str, str] = {}
    problems = live_objects.write_out(shown, state, directory, files)
    ids = {node.props.id(): frozen_xml.TAGS.get(node.type, "object") for node in state.nodes if node.props.id()}
    movable = movable_shapes(state)
    problems += preflight.check_ids(source.path.name, request.config, ids, movable)
    problems += preflight.check_sensor(shown, request.config, state)
    problems += frozen_overrides.freeze(source.path.name, state, request.config, Path(request.directory))
    problems += _keep_files(request, source, state, files, references)
    if problems:
        answer.problems += problems
        return
    xml = blobs.put_text(directory, frozen_xml.write(state), "xml")
    if not made or not set(files) <= made:
        for node in state.nodes:
            if "filename" in node.props and (name := node.props["filename"]) in files:
                node.props["filename"] = references.get(name, str(directory / name))
        told = preflight.remarks(shown, request.config, state)
        try:
            neural_maps.decode_all(state)
        except PenumbraError as error:
            answer.problems.append(complaints.one_line(str(error), shown, files))
            return
        if request.config.get("overrides"):
            copy = cast(Any, mi).parser.ParserState(state)
            answer.problems += frozen_overrides.check(source.path.name, copy, request.config, movable)
        answer.problems += preflight.check_instances(shown, state, files, log)
        warnings += [*told, *(complaints.one_line(line.partition("WARN")[2], shown, files) for line in log.take())]
        made |= {*files, xml}
    bsdfs = tuple(name for name, kind in ids.items() if kind == "bsdf")
    answer.frozen[source.key] = FrozenScene(xml, files, references, tuple(movable), bsdfs).to_json()


def _parse(source: _Source) -> Any:
    import mitsuba as mi

    from pipeline.scene import nodes

    if source.scene is not None:
        return nodes.parse_dict(source.scene)
    # Included files and spectra are read by the parser itself; other files are found by `read_xml`.
    cast(Any, mi).file_resolver().prepend(str(source.path.parent))
    return nodes.parse_file(source.path)


def movable_shapes(state: Any) -> list[str]:
    """Ids of the shapes that are in the scene themselves: neither groups nor members of one."""
    import mitsuba as mi

    from pipeline.scene import nodes

    shapes = (state.nodes[index].props for _, index in nodes.children(state, kind=mi.ObjectType.Shape))
    return [props.id() for props in shapes if props.plugin_name() != "shapegroup"]


def _keep_files(
    request: Request, source: _Source, state: Any, files: dict[str, str], references: dict[str, str]
) -> list[str]:
    """Puts the files that a scene names into the blob directory, and the blobs' names into the scene."""
    paths = {mention.name: mention.path for mention in source.mentions.files}
    paths.update({str(mention.path.absolute()): mention.path for mention in source.mentions.files})
    kept: dict[Path, str] = {}
    problems = []
    for node in state.nodes:
        if "filename" not in node.props or (name := node.props["filename"]) in files:
            continue
        path = paths.get(name, source.path.parent / name)
        try:
            if path not in kept and path.stat().st_size > request.copy_limit:
                kept[path] = blobs.reference(path)
                references[kept[path]] = str(path.absolute())
            elif path not in kept:
                kept[path] = blobs.put(Path(request.blobs), path)
        except OSError as error:
            problems.append(f"{error.filename or path}: {(error.strerror or str(error)).lower()}")
            continue
        files[kept[path]] = os.path.relpath(path, source.path.parent)
        node.props["filename"] = kept[path]
    return problems


if __name__ == "__main__":
    main(Path(sys.argv[1]))
