"""What can be wrong with a shot's scene, found before anything is enqueued. Each check returns lines, none if all is
well.

Needs Mitsuba with a variant set; runs in the subprocess that freezes scenes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import mitsuba as mi

from pipeline.config.film import Film
from pipeline.config.overrides import CAMERA
from pipeline.scene import animation, complaints, names, nodes
from pipeline.scene.load import PROJECTIVE, film_size

__all__ = ["WarningLog", "check_camera", "check_ids", "check_instances", "check_integrator", "check_sensor", "remarks"]

OF_CAMERA = ("translate", "rotate", "fov")
"""What can be overridden of the camera."""


class WarningLog(mi.Appender):
    """Keeps Mitsuba's warnings in `lines` instead of printing them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def append(self, level: Any, text: str) -> None:
        """Called by Mitsuba's logger."""
        self.lines.append(text)

    def log_progress(self, *_: Any) -> None:
        """Called by Mitsuba's logger."""

    @classmethod
    def install(cls) -> WarningLog:
        """Makes a new log the only one."""
        log = cls()
        logger = cast(Any, mi).logger()
        logger.clear_appenders()
        logger.add_appender(log)
        mi.set_log_level(mi.LogLevel.Warn)
        return log

    def take(self) -> list[str]:
        """The lines so far, which are forgotten."""
        taken, self.lines = self.lines, []
        return taken


def check_ids(source: str, config: Mapping[str, Any], ids: Mapping[str, str], movable: Iterable[str]) -> list[str]:
    """Keys of `animate`, `materials` and `overrides` that name nothing that can be animated, replaced or changed.

    Args:
        source: the scene file.
        config: the shot config.
        ids: id → kind, of the whole scene.
        movable: ids of the shapes that can be animated.
    """
    problems = []
    shapes = set(movable)
    bsdfs = [name for name, kind in ids.items() if kind == "bsdf"]
    for name in config.get("animate") or {}:
        if name in shapes:
            continue
        kind = ids.get(name)
        if kind == "shape":
            problems.append(f"animate.{name}: is part of a shape group in {source}; animate the instance")
        elif kind is not None:
            problems.append(f"animate.{name}: is a {kind} in {source}, not a shape")
        else:
            problems.append(f"animate.{name}: no shape of {source} has this id{names.meant(name, shapes)}")
    for name in config.get("materials") or {}:
        if name not in bsdfs:
            problems.append(f"materials.{name}: no BSDF of {source} has this id{names.meant(name, bsdfs)}")
    for group, lights in ((config.get("layers") or {}).get("lights") or {}).items():
        for name in lights:
            if ids.get(name) not in ("emitter", "shape"):
                known = [each for each, kind in ids.items() if kind in ("emitter", "shape")]
                meant = names.meant(name, known)
                problems.append(f"layers.lights.{group}: no light of {source} has the id {name}{meant}")
    for name, override in (config.get("overrides") or {}).items():
        if name == CAMERA:
            unknown = [key for key, value in override.items() if value is not None and key not in OF_CAMERA]
            problems += [f"overrides.camera.{key}: a camera has none" for key in unknown]
        elif name not in ids:
            problems.append(f"overrides.{name}: nothing in {source} has this id{names.meant(name, [*ids, CAMERA])}")
        elif override.get("fov") is not None:
            problems.append(f"overrides.{name}.fov: only the camera has one (overrides.camera.fov)")
    return problems


def check_sensor(source: str, config: Mapping[str, Any], state: nodes.State) -> list[str]:
    """No sensor at all, or a film without pixels."""
    sensors = nodes.children(state, kind=mi.ObjectType.Sensor)
    if not sensors:
        return [] if config.get("camera") else [f"{source}: has no sensor, and the shot no camera"]
    if config.get("resolution"):
        return []
    width, height = film_size(state, sensors[0][1])
    if width < 1 or height < 1:
        return [f"{source}: the film has {width}×{height} pixels; set resolution in the shot, or mend the film"]
    try:
        Film.model_validate(config.get("film") or {}).window(width, height)
    except ValueError as error:
        return [f"film.{error} in {source}"]
    return []


def check_camera(config: Mapping[str, Any], frames: Iterable[int]) -> list[str]:
    """Frames at which a keyframed camera looks nowhere, between keyframes that are sound by themselves."""
    keyframes = (config.get("camera") or {}).get("keyframes") or {}
    problems = []
    for frame in frames if keyframes else ():
        try:
            animation.camera_to_world(keyframes, frame)
        except ValueError as error:
            problems.append(f"camera.keyframes: at frame {frame} {error}")
    return problems


def check_integrator(name: str) -> list[str]:
    """Whether a shot's integrator is one, and can be made without more settings."""
    if name not in names.plugins():
        integrators = (
            plugin
            for plugin in names.plugins()
            if mi.PluginManager.instance().plugin_type(plugin) in (mi.ObjectType.Integrator, mi.ObjectType.Unknown)
        )
        return [f"sampling.integrator: there is no plugin '{name}'{names.meant(name, integrators)}"]
    try:
        made = mi.load_dict({"type": name})
    except (RuntimeError, TypeError) as error:
        return [complaints.one_line(str(error), "sampling.integrator", {})]
    return [] if isinstance(made, mi.Integrator) else [f"sampling.integrator: '{name}' is not an integrator"]


def check_instances(source: str, state: nodes.State, files: Mapping[str, str], log: WarningLog) -> list[str]:
    """Makes the objects of a parsed scene that are used, and says what Mitsuba does not like. Files must be there.

    Where the scene cannot be made, each object that reads a file is made by itself, so that all bad files are told.
    """
    _drop_replaced(state)
    for node in state.nodes:
        for key in list(node.props.keys()):
            node.props.mark_queried(key, False)  # whoever looked at it before was not the plugin
    spare = mi.parser.ParserState(state)
    log.take()
    try:
        config = nodes.parser_config()
        config.unused_properties = mi.LogLevel.Warn
        mi.parser.instantiate(config, state)
        problems = []
    except (RuntimeError, ValueError, TypeError) as error:
        problems = _bad_files(source, spare, files) or [complaints.one_line(str(error), source, files)]
    logged = log.take()
    unused = [line for message in logged for line in complaints.unused_properties(message, source)]
    log.lines = [message for message in logged if not complaints.unused_properties(message, source)]
    return list(dict.fromkeys([*problems, *unused]))


def _drop_replaced(state: nodes.State) -> None:
    """Takes out what is not used: integrators, and the films and samplers of sensors."""
    for name, _ in nodes.children(state, kind=mi.ObjectType.Integrator):
        del state.nodes[nodes.ROOT].props[name]
    for _, sensor in nodes.children(state, kind=mi.ObjectType.Sensor):
        for kind in (mi.ObjectType.Film, mi.ObjectType.Sampler):
            for name, _ in nodes.children(state, sensor, kind):
                del state.nodes[sensor].props[name]


def _bad_files(source: str, state: nodes.State, files: Mapping[str, str]) -> list[str]:
    problems = []
    for index in range(len(state.nodes)):
        if "filename" not in state.nodes[index].props:
            continue
        alone = mi.parser.ParserState(state)
        alone.nodes[nodes.ROOT] = alone.nodes[index]
        try:
            mi.parser.instantiate(nodes.parser_config(), alone)
        except (RuntimeError, ValueError, TypeError) as error:
            problems.append(complaints.one_line(str(error), source, files))
    return problems


def remarks(source: str, config: Mapping[str, Any], state: nodes.State) -> list[str]:
    """What a user should know about how the scene is going to be used."""
    told = []
    sensors = [index for _, index in nodes.children(state, kind=mi.ObjectType.Sensor)]
    if len(sensors) > 1:
        told.append(f"{source}: has {len(sensors)} sensors; the first is used")
    if sensors:
        plugin = state.nodes[sensors[0]].props.plugin_name()
        if not config.get("camera") and plugin not in PROJECTIVE:
            told.append(f"{source}: a '{plugin}' sensor has no motion vectors")
        film = nodes.child(state, sensors[0], mi.ObjectType.Film)
        if film is not None and any(name.startswith("crop_") for name in list(state.nodes[film].props)):
            told.append(f"{source}: the film's crop is ignored; whole frames are rendered")
    wanted = (config.get("sampling") or {}).get("integrator") or "path"
    for _, index in nodes.children(state, kind=mi.ObjectType.Integrator):
        plugin = state.nodes[index].props.plugin_name()
        if plugin != wanted:
            told.append(f"{source}: its integrator '{plugin}' gives way to the shot's '{wanted}' (sampling.integrator)")
    return told
