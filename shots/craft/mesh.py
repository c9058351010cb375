"""Small mesh modelling: the surfaces that the sample shots are made of, and binary PLY to keep them in.

A mesh is a soup of triangles while it is modelled; `write_ply` joins the corners and finds the normals.
Units are metres, y is up. Everything is a pure function of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = [
    "Mesh",
    "arc",
    "box_uv",
    "catmull",
    "circle",
    "fillet",
    "from_grid",
    "grid",
    "icosphere",
    "join",
    "lathe",
    "mitre",
    "panel",
    "place",
    "quad",
    "rotation",
    "rounded_box",
    "sweep",
    "warp",
    "write_ply",
]


@dataclass(frozen=True)
class Mesh:
    """Triangles: corner positions T×3×3 (metres) and texture coordinates T×3×2."""

    points: np.ndarray
    uv: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


def join(*meshes: Mesh) -> Mesh:
    return Mesh(np.concatenate([m.points for m in meshes]), np.concatenate([m.uv for m in meshes]))


def rotation(axis: Sequence[float], degrees: float) -> np.ndarray:
    """3×3 rotation about an axis (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = np.radians(degrees)
    return np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k


def place(
    mesh: Mesh,
    at: Sequence[float] = (0, 0, 0),
    *,
    turn: np.ndarray | None = None,
    scale: float | Sequence[float] = 1.0,
) -> Mesh:
    """Scales, then turns, then moves."""
    points = mesh.points * np.asarray(scale, float)
    if turn is not None:
        points = points @ turn.T
    flipped = np.prod(np.broadcast_to(np.asarray(scale, float), 3)) < 0
    order = [0, 2, 1] if flipped else [0, 1, 2]
    return Mesh((points + np.asarray(at, float))[:, order], mesh.uv[:, order])


def warp(mesh: Mesh, move: Callable[[np.ndarray], np.ndarray]) -> Mesh:
    """Sends every corner (…×3) through `move`."""
    return Mesh(move(mesh.points.reshape(-1, 3)).reshape(mesh.points.shape), mesh.uv)


def from_grid(points: np.ndarray, uv: np.ndarray) -> Mesh:
    """Triangles of a grid of points M×N×3 with uv M×N×2; the normal is ∂u × ∂v with u along axis 0.

    Triangles without area (at a pole, say) are left out.
    """

    def triangles(values: np.ndarray) -> np.ndarray:
        a, b, c, d = values[:-1, :-1], values[1:, :-1], values[1:, 1:], values[:-1, 1:]
        return np.stack([np.stack([a, b, c], -2), np.stack([a, c, d], -2)], 2).reshape(-1, 3, values.shape[-1])

    p, t = triangles(points), triangles(uv)
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=-1)
    return Mesh(p[area > 1e-12], t[area > 1e-12])


def grid(surface: Callable[[np.ndarray, np.ndarray], np.ndarray], nu: int, nv: int) -> Mesh:
    """A patch: `surface(u, v) -> …×3` over the unit square, nu×nv cells."""
    u, v = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1), indexing="ij")
    return from_grid(surface(u, v), np.stack([u, v], -1))


def quad(origin: Sequence[float], along: Sequence[float], up: Sequence[float], *, metres: bool = True) -> Mesh:
    """A rectangle; its normal is along × up. uv in metres, or over the unit square."""
    o, a, b = (np.asarray(x, float) for x in (origin, along, up))
    patch = grid(lambda u, v: o + u[..., None] * a + v[..., None] * b, 1, 1)
    size = np.array([np.linalg.norm(a), np.linalg.norm(b)]) if metres else np.ones(2)
    return Mesh(patch.points, patch.uv * size)


def arc(centre: Sequence[float], radius: float, start: float, end: float, steps: int) -> np.ndarray:
    """Points of a circle in the plane, angles in degrees."""
    t = np.radians(np.linspace(start, end, steps + 1))
    return np.asarray(centre, float) + radius * np.stack([np.cos(t), np.sin(t)], -1)


def circle(radius: float, steps: int = 12) -> np.ndarray:
    """A closed section for `sweep`: `steps` points, the first not repeated."""
    return arc((0, 0), radius, 0, 360, steps)[:-1]


def catmull(points: Sequence[Sequence[float]], steps: int = 6) -> np.ndarray:
    """A smooth curve through points of any dimension (uniform Catmull-Rom)."""
    p = np.asarray(points, float)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = (np.arange(steps) / steps)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate([*pieces, p[-2:-1]])


def fillet(points: Sequence[Sequence[float]], radius: float, steps: int = 3) -> np.ndarray:
    """A polyline whose inner corners are rounded, so that edges catch light."""
    p = np.asarray(points, float)
    out = [p[:1]]
    for a, b, c in zip(p, p[1:], p[2:], strict=False):
        before, after = a - b, c - b
        reach = min(radius, 0.49 * np.linalg.norm(before), 0.49 * np.linalg.norm(after))
        start = b + reach * before / np.linalg.norm(before)
        end = b + reach * after / np.linalg.norm(after)
        t = np.linspace(0, 1, steps + 1)[:, None]
        out.append((1 - t) ** 2 * start + 2 * t * (1 - t) * b + t**2 * end)
    return np.concatenate([*out, p[-1:]])


def _lengths(points: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))])


def lathe(profile: np.ndarray, segments: int = 48, *, unit_uv: bool = True) -> Mesh:
    """Turns a profile (radius, height) about y; one that goes up has its normal outwards. uv: angle, arc length."""
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    angle[-1] = 0.0
    r, y = np.maximum(profile[:, 0], 0), profile[:, 1]
    points = np.stack(
        [np.outer(np.sin(angle), r), np.broadcast_to(y, (segments + 1, len(y))), np.outer(np.cos(angle), r)], -1
    )
    v = _lengths(profile)
    u = np.linspace(0, 1, segments + 1) * (1 if unit_uv else 2 * np.pi * r.max())
    uv = np.stack(np.meshgrid(u, v / v[-1] if unit_uv else v, indexing="ij"), -1)
    return from_grid(points, uv)


def sweep(
    section: np.ndarray,
    path: np.ndarray,
    *,
    scale: np.ndarray | float = 1.0,
    up: Sequence[float] = (0, 1, 0),
    caps: bool = True,
) -> Mesh:
    """Carries a closed section (M×2, counter-clockwise) along a path (N×3); `scale` per point of the path."""
    path = np.asarray(path, float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    side = np.cross(up, tangent[0])
    side = side / np.linalg.norm(side) if np.linalg.norm(side) > 1e-6 else np.array([1.0, 0, 0])
    sides = []
    for t in tangent:  # parallel transport: no twist
        side = side - t * (side @ t)
        side /= np.linalg.norm(side)
        sides.append(side)
    a = np.array(sides)
    b = np.cross(tangent, a)
    ring = np.concatenate([section, section[:1]])
    s = np.broadcast_to(np.asarray(scale, float).reshape(-1, 1) if np.ndim(scale) == 1 else scale, (len(path), 2))
    scaled = ring[None] * s[:, None]
    points = path[:, None] + scaled[..., :1] * a[:, None] + scaled[..., 1:] * b[:, None]
    uv = np.stack(np.meshgrid(_lengths(path), _lengths(ring), indexing="ij"), -1)
    tube = from_grid(points.transpose(1, 0, 2), uv.transpose(1, 0, 2))
    if not caps:
        return tube
    ends = []
    for points_of_end, flip in ((points[0], True), (points[-1], False)):
        rim = points_of_end[:-1]
        centre = np.broadcast_to(rim.mean(0), rim.shape)
        following = np.roll(rim, -1, 0)
        corners = np.stack([centre, following, rim] if flip else [centre, rim, following], 1)
        ends.append(Mesh(corners, np.zeros((len(rim), 3, 2))))
    return join(tube, *ends)


def mitre(
    section: np.ndarray, path: np.ndarray, normal: Sequence[float], *, closed: bool = True, uv_scale: float = 1.0
) -> Mesh:
    """A moulding with mitred corners: the section (outwards in the plane, along the normal) follows a flat polyline.

    Outwards is tangent × normal, so a path that is counter-clockwise seen from the normal's tip has it on the outside.
    The solid lies between the section and the chord from its end to its start; the faces look away from it.
    """
    following = np.roll(section, -1, 0)
    if (section[:, 0] * following[:, 1] - section[:, 1] * following[:, 0]).sum() < 0:
        section = section[::-1]
    path, n = np.asarray(path, float), np.asarray(normal, float)
    edges = np.diff(np.concatenate([path, path[:1]]) if closed else path, axis=0)
    edges /= np.linalg.norm(edges, axis=-1, keepdims=True)
    outward = np.cross(edges, n)
    before = np.roll(outward, 1, 0) if closed else np.concatenate([outward[:1], outward])
    after = outward if closed else np.concatenate([outward, outward[-1:]])
    reach = (before + after) / (1 + (before * after).sum(-1, keepdims=True))
    if closed:
        path, reach = np.concatenate([path, path[:1]]), np.concatenate([reach, reach[:1]])
    points = path[:, None] + section[None, :, :1] * reach[:, None] + section[None, :, 1:] * n
    runs = []
    v = _lengths(section)
    for i in range(len(path) - 1):  # each run its own piece, so that the grain is cut at the mitre
        along = np.stack([(points[i] - path[i]) @ edges[i], (points[i + 1] - path[i]) @ edges[i]])
        uv = np.stack([np.broadcast_to(v, along.shape), along], -1) * uv_scale
        runs.append(from_grid(points[i : i + 2], uv))
    return join(*runs)


def rounded_box(size: Sequence[float], radius: float, steps: int = 2) -> Mesh:
    """A box about the origin with rounded edges and corners. uv in metres on each side."""
    half = np.asarray(size, float) / 2
    radius = min(radius, 0.98 * half.min())
    inner = half - radius
    bend = radius * np.tan(np.radians(np.linspace(45, 0, steps + 1)))
    sides = []
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        for sign in (1, -1):
            cb = np.concatenate([-inner[b] - bend, inner[b] + bend[::-1]])
            cc = np.concatenate([-inner[c] - bend, inner[c] + bend[::-1]])
            gb, gc = np.meshgrid(cb * sign, cc, indexing="ij")
            p = np.empty((*gb.shape, 3))
            p[..., axis], p[..., b], p[..., c] = sign * half[axis], gb, gc
            core = np.clip(p, -inner, inner)
            n = (p - core) / np.linalg.norm(p - core, axis=-1, keepdims=True)
            sides.append(from_grid(core + radius * n, np.stack([gb, gc], -1)))
    return join(*sides)


def panel(origin: Sequence[float], along: Sequence[float], up: Sequence[float], profile: np.ndarray) -> Mesh:
    """A rectangle that steps through a profile (inset, height along the normal) to a flat field: door panels, trays.

    The normal is along × up. uv in metres, v along `up`.
    """
    o, a, b = (np.asarray(x, float) for x in (origin, along, up))
    la, lb = np.linalg.norm(a), np.linalg.norm(b)
    a, b = a / la, b / lb
    n = np.cross(a, b)
    inset, height = np.asarray(profile, float).T

    def ring(i: float, h: float) -> np.ndarray:
        uv = np.array([[i, i], [la - i, i], [la - i, lb - i], [i, lb - i], [i, i]])
        return np.concatenate([o + uv[:, :1] * a + uv[:, 1:] * b + h * n, uv], -1)

    rings = np.stack([ring(i, h) for i, h in zip(inset, height, strict=True)], 1)
    steps = from_grid(rings[..., :3], rings[..., 3:])
    field = quad(rings[0, -1, :3], a * (la - 2 * inset[-1]), b * (lb - 2 * inset[-1]))
    return join(steps, Mesh(field.points, field.uv + inset[-1]))


def icosphere(subdivisions: int) -> Mesh:
    """The unit sphere from an icosahedron: 20·4^n triangles, uv zero."""
    g = (1 + 5**0.5) / 2
    corners = np.array([p for a in (-1, 1) for b in (-g, g) for p in ((a, b, 0), (0, a, b), (b, 0, a))])
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    close = np.abs(apart - 2) < 1e-9
    faces = np.array(
        [
            (i, j, k)
            for i in range(12)
            for j in range(i)
            for k in range(j)
            if close[i, j] and close[j, k] and close[i, k]
        ]
    )
    volume = np.linalg.det(corners[faces])
    faces[volume < 0] = faces[volume < 0][:, ::-1]
    points = corners[faces] / np.sqrt(1 + g * g)
    for _ in range(subdivisions):
        a, b, c = points[:, 0], points[:, 1], points[:, 2]
        ab, bc, ca = a + b, b + c, c + a
        ab, bc, ca = (m / np.linalg.norm(m, axis=-1, keepdims=True) for m in (ab, bc, ca))
        points = np.stack([(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]).transpose(0, 2, 1, 3).reshape(-1, 3, 3)
    return Mesh(points, np.zeros((len(points), 3, 2)))


def box_uv(mesh: Mesh, *, grain: int, scale: float = 1.0, offset: Sequence[float] = (0, 0)) -> Mesh:
    """Texture coordinates by the side that a triangle faces, v along the axis `grain` (end grain apart): for wood."""
    p = mesh.points
    facing = np.abs(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])).argmax(-1)
    others = [axis for axis in range(3) if axis != grain]
    across = np.where(facing == others[0], others[1], others[0])
    along = np.where(facing == grain, others[1], grain)
    pick = np.arange(len(p))
    uv = np.stack([p[pick, :, across], p[pick, :, along]], -1)
    return Mesh(p, uv * scale + np.asarray(offset, float))


def _normals(points: np.ndarray, crease: float) -> np.ndarray:
    """Corner normals T×3×3, area-weighted over the faces that meet at less than `crease` degrees.

    The weight by area keeps large flat sides flat next to their bevels.
    """
    area = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    unit = area / np.maximum(np.linalg.norm(area, axis=-1, keepdims=True), 1e-20)
    _, vertex = np.unique(np.round(points.reshape(-1, 3), 6), axis=0, return_inverse=True)
    vertex = vertex.reshape(-1)
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    mates = np.repeat(count[vertex], 1)
    mine = np.repeat(np.arange(len(vertex)), mates)
    step = np.arange(len(mine)) - np.repeat(np.cumsum(mates) - mates, mates)
    theirs = order[first[vertex[mine]] + step]
    alike = (unit[mine // 3] * unit[theirs // 3]).sum(-1) > np.cos(np.radians(crease))
    total = np.zeros((len(vertex), 3))
    for axis in range(3):
        total[:, axis] = np.bincount(mine, np.where(alike, area[theirs // 3, axis], 0), minlength=len(vertex))
    return (total / np.maximum(np.linalg.norm(total, axis=-1, keepdims=True), 1e-20)).reshape(points.shape)


def write_ply(path: Path, mesh: Mesh, *, crease: float | None = 40.0, uv: bool = True) -> None:
    """Binary little-endian PLY.

    Corners are joined in the order of their first use, so that the file is a function of the mesh alone.

    Args:
        crease: normals are smooth over edges of less than this many degrees; None: no normals, Mitsuba finds them.
        uv: keep the texture coordinates.
    """
    names, columns = ["x", "y", "z"], [mesh.points]
    if crease is not None:
        names, columns = [*names, "nx", "ny", "nz"], [*columns, _normals(mesh.points, crease)]
    if uv:
        names, columns = [*names, "u", "v"], [*columns, mesh.uv]
    corners = np.concatenate(columns, -1).reshape(-1, len(names))
    _, first, index = np.unique(np.round(corners, 6), axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    vertices = corners[np.sort(first)].astype("<f4")
    faces = np.empty(len(mesh), dtype=[("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, rank[index.reshape(-1)].reshape(-1, 3)
    header = "\n".join(
        ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
        + [f"property float {name}" for name in names]
        + [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    )
    path.write_bytes(header.encode() + vertices.tobytes() + faces.tobytes())
