"""How each shape of a scene moves from a frame to its neighbours: the matrices behind motion vectors.

The matrices come from keyframes where a shape has them, and from comparing the `to_world` of equal ids where each
frame has a scene of its own. Where the answer is not a matrix (a mesh that deforms, a shape that is not in the other
frame) the motion is marked invalid. Needs Mitsuba with a variant set, for parsed scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.scene import animation, nodes

__all__ = ["Pose", "ShapeMotion", "poses_of", "shape_motions", "step"]

Matrix = NDArray[np.float64]

_PLACED = {"to_world", "center", "radius", "id"}
"""Properties of shapes that place them; all others, but BSDFs and emitters, say what the shape is."""


@dataclass(frozen=True)
class ShapeMotion:
    """World-space motion of one shape.

    Attributes:
        id: in the scene.
        to_previous, to_next: 4×4, a point of the shape in this frame's world → the same point in the neighbour's.
        valid_previous, valid_next: whether they are known.
    """

    id: str
    to_previous: Matrix
    to_next: Matrix
    valid_previous: bool
    valid_next: bool


@dataclass(frozen=True)
class Pose:
    """Where one frame's scene puts a shape: its matrix, and what it is otherwise, equal if it does not deform."""

    to_world: Matrix
    kind: tuple[Any, ...]


def poses_of(state: nodes.State) -> dict[str, Pose]:
    """The poses of all shapes of a parsed scene that have an id. Call it before the state is instantiated."""
    found = {}
    for index in range(len(state.nodes)):
        if state.nodes[index].type == mi.ObjectType.Shape and (name := state.nodes[index].props.id()):
            found[name] = Pose(_placed(state, index), _kind(state, index))
    return found


def step(
    here: Pose | None,
    there: Pose | None,
    keyframes: Mapping[Any, Mapping[str, Any]] | None,
    centre: NDArray[np.float64] | None,
    frame: float,
    neighbour: float,
) -> Matrix | None:
    """World of `frame` → world of `neighbour` for one shape, or None where it is not known.

    Args:
        here, there: the shape in the two frames' scenes; the same object where one scene serves both.
        keyframes: `animate` of this shape, or None.
        centre: of its bounding box in this frame as loaded, if it is animated.
        frame, neighbour: frame numbers; within a shutter they lie between frames.
    """
    if here is None or there is None or here.kind != there.kind:
        return None
    own = np.eye(4) if here is there or np.array_equal(here.to_world, there.to_world) else _from_to(here, there)
    if own is None or not keyframes:
        return own
    assert centre is not None
    # The pivot is the bounding box's centre, which follows a translation of the shape, but not a rotation.
    moved = centre + own[:3, 3]
    start, end = animation.pose(keyframes, frame, centre), animation.pose(keyframes, neighbour, moved)
    rotates = not np.array_equal(own[:3, :3], np.eye(3))
    if rotates and not np.allclose(end, animation.pose(keyframes, neighbour, moved + 1.0)):
        return None
    if abs(np.linalg.det(start[:3, :3])) < 1e-12:
        return None
    return np.asarray(end @ own @ np.linalg.inv(start))


def shape_motions(
    ids: Sequence[str],
    frame: float,
    poses: tuple[Mapping[str, Pose] | None, Mapping[str, Pose], Mapping[str, Pose] | None],
    animate: Mapping[str, Any],
    centres: Mapping[str, NDArray[np.float64]],
) -> list[ShapeMotion]:
    """The motions of the shapes named, in their order.

    Args:
        ids: shapes.
        frame: this frame, or a time between frames.
        poses: of the previous frame's scene (None: not known), of this frame's, of the next one's.
        animate: as in the shot config.
        centres: of the bounding boxes of the animated shapes, as loaded.
    """
    before, current, after = poses

    def towards(name: str, others: Mapping[str, Pose] | None, neighbour: float) -> Matrix | None:
        if others is None:
            return None
        if name not in current and others is current:
            return np.eye(4)  # a shape that its plugin made (a merged mesh): it stands still with its scene
        return step(current.get(name), others.get(name), animate.get(name), centres.get(name), frame, neighbour)

    motions = []
    for name in ids:
        previous, following = towards(name, before, frame - 1), towards(name, after, frame + 1)
        motions.append(
            ShapeMotion(
                id=name,
                to_previous=np.eye(4) if previous is None else previous,
                to_next=np.eye(4) if following is None else following,
                valid_previous=previous is not None,
                valid_next=following is not None,
            )
        )
    return motions


def _from_to(here: Pose, there: Pose) -> Matrix | None:
    if abs(np.linalg.det(here.to_world[:3, :3])) < 1e-30:
        return None
    return np.asarray(there.to_world @ np.linalg.inv(here.to_world))


def _placed(state: nodes.State, index: int) -> Matrix:
    """`to_world`, and for a sphere its centre and radius too: 4×4."""
    matrix = nodes.matrix(state, index)
    props = state.nodes[index].props
    if props.plugin_name() != "sphere":
        return matrix
    own = np.eye(4)
    if "center" in props:
        own[:3, 3] = np.array(props["center"], dtype=np.float64).ravel()
    if "radius" in props:
        own[:3, :3] *= float(props["radius"])
    return np.asarray(matrix @ own)


def _kind(state: nodes.State, index: int) -> tuple[Any, ...]:
    """What a shape is, apart from where it is and how it looks; of a group, its members too."""
    props = state.nodes[index].props
    sphere = props.plugin_name() == "sphere"
    placed = _PLACED if sphere else {"to_world", "id"}
    references = {name for name, _ in nodes.children(state, index)}
    values = tuple(
        (name, props.as_string(name)) for name in sorted(props.keys()) if name not in placed and name not in references
    )
    members = tuple(
        (_kind(state, member), nodes.matrix(state, member).tobytes())
        for _, member in nodes.children(state, index, mi.ObjectType.Shape)
    )
    return (props.plugin_name(), values, members)
