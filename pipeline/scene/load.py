"""A frozen scene, loaded for one frame and ready to be sampled; and moved on to the next frame.

Needs Mitsuba with a variant set (`pipeline.device.set_variant`).
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.config.colour import Colour
from pipeline.config.film import Film
from pipeline.config.layers import Layers
from pipeline.errors import SceneError
from pipeline.scene import animation, blobs, neural_maps, nodes
from pipeline.scene.cameras import Camera, Cameras, perspective
from pipeline.scene.colour import convert_colours
from pipeline.scene.motion import Pose, ShapeMotion, poses_of, shape_motions
from pipeline.scene.overrides import Overrides
from pipeline.scene.placement import Placement, opaque
from pipeline.scene.spec import SceneSpec

__all__ = ["UNKNOWN_SHAPE", "FrameScene", "at_time", "load", "update"]

Matrix = NDArray[np.float64]

UNKNOWN_SHAPE = 0xFFFFFFFF
"""In `FrameScene.shape_lookup`: an object that is not one of the scene's shapes."""

PROJECTIVE = ("perspective", "thinlens")

DEFAULT_SIZE = (768, 576)
"""Of a Mitsuba film that does not say."""


@dataclass(frozen=True)
class FrameScene:
    """A loaded scene at one frame.

    To find which shape a ray hit, look up the number under which Dr.Jit knows it:
    `index = dr.gather(mi.UInt32, mi.UInt32(fs.shape_lookup), dr.reinterpret_array(mi.UInt32, pointer))`, where
    `pointer` is `si.instance` where that is not null, else `si.shape`. The numbers, and with them the compiled kernels,
    are those of an earlier scene of the same make-up if that one was dropped before this one was loaded.

    Attributes:
        scene, sensor, integrator: Mitsuba's objects. The film has a box filter and no crop, the sampler is
            `independent`.
        integrator_name: plugin, `path`.
        max_depth: of the paths; −1 without a limit.
        rr_depth: where Russian roulette begins.
        hide_emitters: as the scene file's integrator says.
        shapes: motion of each shape of `scene.shapes()`, in that order.
        shape_names: their ids, in that order.
        shape_lookup: uint32; Dr.Jit's number of a shape → its index in `shapes`, or `UNKNOWN_SHAPE`.
        cameras: projections of this frame and its neighbours.
        frame: frame number.
        width, height: of what is rendered of the frame, pixels.
        corner: of that, in pixels of the frame: beyond (0, 0) in a crop, before it with overscan.
        size: (width, height) of the frame.
        time: at which the scene stands, frames from the frame's own time.
    """

    scene: Any
    sensor: Any
    integrator: Any
    integrator_name: str
    max_depth: int
    rr_depth: int
    hide_emitters: bool
    shapes: list[ShapeMotion]
    shape_names: tuple[str, ...]
    shape_lookup: NDArray[np.uint32]
    cameras: Cameras
    frame: int
    width: int
    height: int
    _spec: SceneSpec = field(repr=False)
    _blobs: Path = field(repr=False)
    _placement: Placement = field(repr=False)
    _poses: Mapping[str, Pose] = field(repr=False)  # of the scene as frozen
    _lens: _Lens | None = field(repr=False)  # None for sensors that are not perspective
    time: float = 0.0
    corner: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)

    @property
    def film(self) -> Film:
        """The shot's: filter of the pixels, steps of the shutter."""
        return Film.model_validate(dict(self._spec.film))

    @property
    def layers(self) -> Layers:
        """The shot's: groups of lights, mattes, AOVs."""
        return Layers.model_validate(dict(self._spec.layers))

    @property
    def shutter(self) -> tuple[float, float] | None:
        """When the shutter opens and closes, frames from the frame's own time; None where nothing moves meanwhile."""
        spec = self._spec
        moves = bool(self._placement.movable) or bool((spec.camera or {}).get("keyframes"))
        return spec.shutter if moves else None

    @property
    def moves_shapes(self) -> bool:
        """Whether shapes may move in this shot; the same for all frames of an animated one."""
        spec = self._spec
        return bool(spec.animate) or any(xml not in (None, spec.xml) for xml in (spec.previous, spec.next))


@dataclass(frozen=True)
class _Lens:
    """What stays of a perspective sensor while it moves."""

    fov: float  # horizontal, degrees
    offset: tuple[float, float]
    to_world: Matrix  # as loaded


def load(spec: SceneSpec, frame: int, blobs_directory: Path) -> FrameScene:
    """Loads one frame's scene.

    Args:
        spec: what to load.
        frame: frame number.
        blobs_directory: where the frozen files are.

    Raises:
        SceneError: a frozen file is missing or damaged, or Mitsuba refuses the scene.
    """
    try:
        return _load(spec, frame, blobs_directory, {})
    except (RuntimeError, ValueError) as error:
        raise SceneError(f"frame {frame}: {error}") from error


def update(fs: FrameScene, spec: SceneSpec, frame: int) -> FrameScene:
    """The scene of another frame; `fs` must not be used afterwards.

    When only keyframes differ, camera and shapes are moved in place: nothing is read and no kernel is compiled anew.
    Else the scene is loaded. Either way the result is what `load` gives.

    Raises:
        SceneError: as `load`.
    """
    if _unmoved(spec) != _unmoved(fs._spec) or fs._placement.fixed:
        return load(spec, frame, fs._blobs)
    try:
        return _moved(fs, spec, frame)
    except (RuntimeError, ValueError) as error:
        raise SceneError(f"frame {frame}: {error}") from error


def at_time(fs: FrameScene, time: float) -> FrameScene:
    """The scene at another time of its frame: camera and shapes are moved in place, and `fs` must not be rendered
    afterwards. Neighbours are one frame before and after that time. Shapes that cannot be moved in place stand still.

    Args:
        fs: of the frame.
        time: frames from the frame's own time.

    Raises:
        SceneError: the camera looks nowhere then.
    """
    try:
        return _moved(fs, fs._spec, fs.frame, time)
    except (RuntimeError, ValueError) as error:
        raise SceneError(f"frame {fs.frame + time:g}: {error}") from error


def _moved(fs: FrameScene, spec: SceneSpec, frame: int, time: float = 0.0) -> FrameScene:
    """Puts shapes and camera where the frame has them. Loading ends here too, so that both ways give equal bits."""
    fs._placement.apply(_animated(spec, frame + time, fs._placement))
    if spec.camera and spec.camera.get("keyframes"):
        params = mi.traverse(fs.sensor)
        to_world = animation.camera_to_world(spec.camera["keyframes"], frame + time)
        params["to_world"] = opaque(mi.AffineTransform4f(mi.Matrix4f(to_world)))
        params.update()
    return _with_motion(replace(fs, frame=frame, time=time, _spec=spec))


def _unmoved(spec: SceneSpec) -> tuple[Any, ...]:
    """All of a spec that `update` cannot change in place."""
    camera = spec.camera or {}
    settings = sorted((k, repr(v)) for k, v in camera.items() if k != "keyframes")
    return (
        (dict(spec.film), dict(spec.layers), dict(spec.colour)),
        *(spec.xml, spec.resolution, spec.integrator, spec.max_depth, spec.rr_depth),
        *(settings, bool(camera.get("keyframes")), set(spec.animate), spec.overrides),
    )


def _load(spec: SceneSpec, frame: int, directory: Path, baked: Mapping[str, Matrix]) -> FrameScene:
    """`baked`: poses of shapes that cannot be moved once they are loaded."""
    gc.collect()  # what is left of an earlier scene would take the numbers that this one's kernels were compiled for
    state = _parse(spec.xml, spec, directory)
    poses = poses_of(state)
    for index in range(len(state.nodes)):
        props = state.nodes[index].props
        if state.nodes[index].type == mi.ObjectType.Shape and props.id() in baked:
            props["to_world"] = nodes.transform(baked[props.id()] @ nodes.matrix(state, index))
    integrator_name, hide_emitters, depths = _set_integrator(state, spec)
    size = _set_sensor(state, spec, frame)
    window = Film.model_validate(dict(spec.film)).window(*size)
    neural_maps.decode_all(state)
    convert_colours(state, Colour.model_validate(dict(spec.colour)))
    scene = nodes.instantiate(state)
    _make_opaque(scene)
    if spec.overrides:
        Overrides(scene).apply(spec.overrides)
    placement = Placement(scene, set(spec.animate))
    if placement.fixed and not baked:
        wanted = _animated(spec, frame, placement)
        return _load(spec, frame, directory, {name: wanted[name] for name in placement.fixed})
    names = tuple(shape.id() or f"shape_{index}" for index, shape in enumerate(scene.shapes()))
    sensor = scene.sensors()[0]
    fs = FrameScene(
        scene=scene,
        sensor=sensor,
        integrator=scene.integrator(),
        integrator_name=integrator_name,
        max_depth=depths[0],
        rr_depth=depths[1],
        hide_emitters=hide_emitters,
        shapes=[],
        shape_names=names,
        shape_lookup=_shape_lookup(scene),
        cameras=Cameras(None, None, None),
        frame=frame,
        width=window.width,
        height=window.height,
        corner=(window.x, window.y),
        size=size,
        _spec=spec,
        _blobs=directory,
        _placement=placement,
        _poses=poses,
        _lens=_lens(sensor),
    )
    return _moved(fs, spec, frame)


def _parse(xml: str, spec: SceneSpec, directory: Path) -> nodes.State:
    """The frozen XML, with the blobs that it names replaced by paths."""
    state = nodes.parse_text(blobs.resolve(directory, xml, {}).read_text(encoding="utf-8"))
    for index in range(len(state.nodes)):
        props = state.nodes[index].props
        for name in list(props.keys()):
            if props.type(name) == mi.Properties.Type.String and blobs.is_blob(value := props[name]):
                props[name] = str(blobs.resolve(directory, value, spec.references).absolute())
    return state


def _animated(spec: SceneSpec, frame: float, placement: Placement) -> dict[str, Matrix]:
    """Poses of the animated shapes, by id.

    Raises:
        ValueError: the scene has no such shape.
    """
    if absent := [name for name in spec.animate if name not in placement]:
        raise ValueError(f"animate names {', '.join(absent)}, which the scene does not have as a shape of its own")
    return {name: animation.pose(keys, frame, placement.centre(name)) for name, keys in spec.animate.items()}


# --- Integrator ---------------------------------------------------------------------------------------------------


def _set_integrator(state: nodes.State, spec: SceneSpec) -> tuple[str, bool, tuple[int, int]]:
    """Puts the shot's integrator in place of the scene's: its name, whether it hides emitters, and its depths."""
    found = nodes.children(state, kind=mi.ObjectType.Integrator)
    values: dict[str, Any] = {}
    hides = False
    for _, index in found[:1]:
        props = state.nodes[index].props
        own = set(props.keys()) - {name for name, _ in nodes.children(state, index)}
        same = props.plugin_name() == spec.integrator
        values = {name: props[name] for name in own if same or name in ("max_depth", "rr_depth")}
        hides = _hides_emitters(state, index)
    for name, index in found:
        if index == found[0][1] and state.nodes[index].props.plugin_name() == spec.integrator:
            values.update({key: mi.Properties.ResolvedReference(at) for key, at in nodes.children(state, index)})
        del state.nodes[nodes.ROOT].props[name]
    for name, depth in (("max_depth", spec.max_depth), ("rr_depth", spec.rr_depth)):
        if depth is not None:
            values[name] = depth
    if hides:
        values["hide_emitters"] = True
    nodes.add_child(state, nodes.ROOT, "integrator", mi.ObjectType.Integrator, spec.integrator, **values)
    return spec.integrator, hides, (int(values.get("max_depth", -1)), int(values.get("rr_depth", 5)))


def _hides_emitters(state: nodes.State, index: int) -> bool:
    props = state.nodes[index].props
    inner = nodes.children(state, index, mi.ObjectType.Integrator)
    return bool(props.get("hide_emitters", False)) or any(_hides_emitters(state, child) for _, child in inner)


# --- Sensor -------------------------------------------------------------------------------------------------------


def _set_sensor(state: nodes.State, spec: SceneSpec, frame: float) -> tuple[int, int]:
    """Leaves one sensor in the scene, the shot's own or the scene's first one, with our film. Width and height of it.

    Raises:
        ValueError: there is neither.
    """
    found = nodes.children(state, kind=mi.ObjectType.Sensor)
    for name, _ in found[1:]:
        del state.nodes[nodes.ROOT].props[name]
    if found:
        sensor = found[0][1]
    elif spec.camera and spec.camera.get("keyframes"):
        sensor = nodes.add_child(state, nodes.ROOT, "sensor", mi.ObjectType.Sensor, "perspective")
    else:
        raise ValueError("the scene has no sensor, and the shot no camera")
    width, height = spec.resolution or film_size(state, sensor)
    if spec.camera:
        _replace_camera(state, sensor, spec.camera, frame)
    props = state.nodes[sensor].props
    for kind in (mi.ObjectType.Film, mi.ObjectType.Sampler):
        for name, _ in nodes.children(state, sensor, kind):
            del props[name]
    film = nodes.add_child(state, sensor, "film", mi.ObjectType.Film, "hdrfilm", width=width, height=height)
    nodes.add_child(state, film, "filter", mi.ObjectType.ReconstructionFilter, "box")
    nodes.add_child(state, sensor, "sampler", mi.ObjectType.Sampler, "independent")
    return width, height


def film_size(state: nodes.State, sensor: int) -> tuple[int, int]:
    """Width and height of a sensor's own film, in pixels, without its crop."""
    film = nodes.child(state, sensor, mi.ObjectType.Film)
    if film is None:
        return DEFAULT_SIZE
    props = state.nodes[film].props
    return int(props.get("width", DEFAULT_SIZE[0])), int(props.get("height", DEFAULT_SIZE[1]))


def _replace_camera(state: nodes.State, sensor: int, camera: Mapping[str, Any], frame: float) -> None:
    """The shot's camera takes the place of the sensor; clipping planes, medium and shutter stay, and the lens unless
    the shot names its own."""
    props = state.nodes[sensor].props
    media = [name for name, _ in nodes.children(state, sensor, mi.ObjectType.Medium)]
    kept = {"near_clip", "far_clip", "shutter_open", "shutter_close", *media}
    lens = {"aperture_radius", "focus_distance"}
    aperture, focus = camera.get("aperture_radius"), camera.get("focus_distance")
    thin = props.plugin_name() == "thinlens" or aperture is not None
    if props.plugin_name() in PROJECTIVE:
        kept |= {"to_world"} | (lens if thin else set())
        if camera.get("fov") is None:
            kept |= {"fov", "fov_axis", "focal_length", "principal_point_offset_x", "principal_point_offset_y"}
    nodes.clear(state, sensor, keep=tuple(kept))
    props.set_plugin_name("thinlens" if thin else "perspective")
    if aperture is not None:
        props["aperture_radius"] = float(aperture)
    if thin and focus is not None:
        props["focus_distance"] = float(focus)
    if camera.get("fov") is not None:
        props["fov"] = float(camera["fov"])
        props["fov_axis"] = camera.get("fov_axis") or "x"
    if camera.get("keyframes"):
        props["to_world"] = nodes.transform(animation.camera_to_world(camera["keyframes"], frame))


def _lens(sensor: Any) -> _Lens | None:
    params = mi.traverse(sensor)
    if "x_fov" not in params:
        return None
    offset = tuple(
        float(np.array(params[name]).ravel()[0]) if (name := f"principal_point_offset_{axis}") in params else 0.0
        for axis in "xy"
    )
    to_world = np.array(params["to_world"].matrix, dtype=np.float64).reshape(4, 4)
    return _Lens(float(np.array(params["x_fov"]).ravel()[0]), (offset[0], offset[1]), to_world)


# --- Motion -------------------------------------------------------------------------------------------------------


def _with_motion(fs: FrameScene) -> FrameScene:
    """Fills in the motion of shapes and the cameras of the neighbouring frames, at this time of theirs."""
    spec = fs._spec
    now = fs.frame + fs.time
    neighbours = {-1: spec.previous, +1: spec.next}
    states = {
        offset: _parse(xml, spec, fs._blobs) if xml is not None and xml != spec.xml else None
        for offset, xml in neighbours.items()
    }
    poses = {
        offset: fs._poses if neighbours[offset] == spec.xml else None if state is None else poses_of(state)
        for offset, state in states.items()
    }
    centres = {name: fs._placement.centre(name) for name in spec.animate}
    cameras = {offset: _neighbour_camera(fs, now + offset, neighbours[offset], states[offset]) for offset in neighbours}
    current = None if fs._lens is None else _camera(fs, fs._lens, now)
    return replace(
        fs,
        shapes=shape_motions(fs.shape_names, now, (poses[-1], fs._poses, poses[+1]), spec.animate, centres),
        cameras=Cameras(current, cameras[-1], cameras[+1]),
    )


def _camera(fs: FrameScene, lens: _Lens, frame: float) -> Camera:
    keyframes = (fs._spec.camera or {}).get("keyframes")
    to_world = animation.camera_to_world(keyframes, frame) if keyframes else lens.to_world
    camera = perspective(to_world, fov=lens.fov, width=fs.size[0], height=fs.size[1], offset=lens.offset)
    return camera if fs.corner == (0, 0) else camera.within(*fs.corner)


def _neighbour_camera(fs: FrameScene, frame: float, xml: str | None, state: nodes.State | None) -> Camera | None:
    """The camera of a neighbouring frame, whose scene may be another one."""
    if fs._lens is None:
        return None
    camera = fs._spec.camera or {}
    if xml == fs._spec.xml or (camera.get("keyframes") and camera.get("fov") is not None):
        return _camera(fs, fs._lens, frame)
    if state is None:
        return None
    # Only the sensor of the other scene is made.
    size = _set_sensor(state, fs._spec, frame)
    sensors = [name for name, _ in nodes.children(state, kind=mi.ObjectType.Sensor)]
    nodes.clear(state, nodes.ROOT, keep=tuple(sensors))
    lens = _lens(nodes.instantiate(state).sensors()[0])
    return None if lens is None or size != fs.size else _camera(fs, lens, frame)


# --- Dr.Jit -------------------------------------------------------------------------------------------------------


def _make_opaque(scene: Any) -> None:
    """Evaluates the parameters that Mitsuba left as literals, so that scenes that differ in numbers share kernels."""
    params = mi.traverse(scene)
    # Not by `params` itself: it fails at values that are not there, as hair without an absorption of its own has one.
    present = [name for name in params.keys() if params.properties[name][0] is not None]  # noqa: SIM118
    literal = [name for name in present if any(leaf.state == dr.VarState.Literal for leaf in _leaves(params[name]))]
    for name in literal:
        params[name] = opaque(params[name])
    if literal:
        params.update()


def _leaves(value: Any) -> list[Any]:
    """The Dr.Jit variables that a scene parameter is made of."""
    if hasattr(value, "matrix"):
        value = value.matrix
    if not dr.is_array_v(value) or not dr.is_jit_v(value):
        return []
    if dr.is_tensor_v(value):
        return _leaves(value.array)
    if dr.depth_v(value) == 1:
        return [value]
    return [leaf for part in value for leaf in _leaves(part)]


def _shape_lookup(scene: Any) -> NDArray[np.uint32]:
    pointers: list[Any] = [dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape)) for shape in scene.shapes()]
    numbers = [int(pointer[0]) for pointer in pointers]
    lookup = np.full(max(numbers, default=0) + 1, UNKNOWN_SHAPE, dtype=np.uint32)
    lookup[numbers] = np.arange(len(numbers), dtype=np.uint32)
    return lookup
