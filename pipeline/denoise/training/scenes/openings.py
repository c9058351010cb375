"""Rooms' shells, and how light gets into them: plain ways, and ways that path tracers have trouble with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.denoise.training.scenes import furniture, textures
from pipeline.denoise.training.scenes.geometry import Array, placed, quad, unit
from pipeline.denoise.training.scenes.lights import Bulb, Panel, Screen, Spot, sky, white
from pipeline.denoise.training.scenes.shapes import ball, box
from pipeline.denoise.training.scenes.stage import Stage

__all__ = ["HARD", "PLAIN", "Room", "build", "bulb", "panel"]

WALL = 0.15
"""Thickness of walls, metres."""


@dataclass
class Room:
    """x in [0, width], y in [0, height], z in [0, depth]. Walls 0 … 3 are those at z = 0, x = width, z = depth, x = 0.

    Attributes:
        holes: wall → (x0, x1, y0, y1) in the wall's own coordinates: x along it, y up, z into the room.
    """

    width: float
    depth: float
    height: float
    holes: dict[int, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def length(self, side: int) -> float:
        return self.depth if side % 2 else self.width

    def frame(self, side: int) -> Array:
        """4×4: a wall's coordinates to the world."""
        w, d = self.width, self.depth
        corner = ((0, 0, 0), (w, 0, 0), (w, 0, d), (0, 0, d))[side]
        along = ((1, 0, 0), (0, 0, 1), (-1, 0, 0), (0, 0, -1))[side]
        inward = ((0, 0, 1), (-1, 0, 0), (0, 0, -1), (1, 0, 0))[side]
        matrix = np.eye(4)
        matrix[:3] = np.stack([along, (0, 1, 0), inward, corner], axis=1)
        return matrix

    def at(self, side: int, x: float, y: float, z: float = 0.0) -> Array:
        """4×4: from a point of a wall to the world."""
        return np.asarray(self.frame(side) @ placed((x, y, z)))


def build(stage: Stage, room: Room) -> None:
    """The shell: floor, ceiling, walls around their holes, skirting."""
    w, h, d = room.width, room.height, room.depth
    stage.add(box((-WALL, -WALL, -WALL), (w + WALL, 0.0, d + WALL)), stage.slot("wood"), solid=False)
    stage.add(box((-WALL, h, -WALL), (w + WALL, h + WALL, d + WALL)), stage.slot("white"), solid=False)
    usual, trim = stage.slot("wall"), stage.slot("paint")
    accent = int(stage.rng.integers(6))  # one of the walls, or none
    for side in range(4):
        slot = stage.slot("paper") if side == accent else usual
        holes = sorted(room.holes.get(side, []))
        stage.add(furniture.wall(room.length(side), h, WALL, holes).transformed(room.frame(side)), slot, solid=False)
        if not any(y0 <= 0.0 for _, _, y0, _ in holes):
            skirting = box((0.0, 0.0, 0.0), (room.length(side), 0.09, 0.015))
            stage.add(skirting.transformed(room.frame(side)), trim, solid=False)


# --- Lamps by the light that they give -----------------------------------------------------------------------------


def panel(rng: np.random.Generator, centre: Array, u: Array, v: Array, *, reach: float, level: float = 1.0) -> Panel:
    """A panel with an irradiance of about `level`·π at `reach` metres."""
    area = 4.0 * float(np.linalg.norm(np.cross(u, v)))
    return Panel(centre, u, v, white(rng) * (level * np.pi * reach**2 / area))


def bulb(rng: np.random.Generator, centre: Array, radius: float, *, reach: float, level: float = 1.0) -> Bulb:
    """As `panel`."""
    return Bulb(centre, radius, white(rng) * (level * (reach / radius) ** 2))


def _down(room: Room, rng: np.random.Generator, x: float, z: float, size: tuple[float, float], level: float) -> Panel:
    u, v = np.array([size[0], 0.0, 0.0]), np.array([0.0, 0.0, size[1]])
    return panel(rng, np.array([x, room.height - 0.03, z]), u, v, reach=0.6 * room.height, level=level)


# --- Plain ---------------------------------------------------------------------------------------------------------


def ceiling_panels(stage: Stage, room: Room) -> None:
    rng = stage.rng
    count = int(rng.integers(1, 4))
    for k in range(count):
        x, z = rng.uniform(0.3, 0.7) * room.width, (k + 0.5) / count * room.depth
        size = rng.uniform(0.15, 0.2) * room.width, rng.uniform(0.06, 0.3) * room.depth / count
        stage.lights.panels.append(_down(room, rng, x, z, size, 1.2 / count))


def pendant(stage: Stage, room: Room) -> None:
    """A globe or two under the ceiling, and the glow of a panel."""
    rng = stage.rng
    for _ in range(rng.integers(1, 3)):
        centre = rng.uniform((0.3, 0.7, 0.3), (0.7, 0.82, 0.7)) * (room.width, room.height, room.depth)
        stage.lights.bulbs.append(bulb(rng, centre, rng.uniform(0.08, 0.2), reach=0.6 * room.height, level=0.6))
        cord = box((-0.004, 0.0, -0.004), (0.004, room.height - centre[1], 0.004))
        stage.add(cord.transformed(placed(centre)), stage.slot("metal"))
    stage.lights.panels.append(_down(room, rng, room.width / 2, room.depth / 2, (0.3, 0.3), 0.4))


def picture_windows(stage: Stage, room: Room) -> None:
    """Large windows under an even sky."""
    rng = stage.rng
    for side in rng.permutation(4)[: rng.integers(1, 3)]:
        _window(stage, room, int(side), (0.75, 0.6))
    stage.lights.environment = sky(rng, sun=None, level=rng.uniform(8.0, 25.0))
    if rng.random() < 0.5:
        ceiling_panels(stage, room)


def monitor(stage: Stage, room: Room) -> None:
    """A glowing screen on a wall, and panels."""
    rng = stage.rng
    side = int(rng.integers(4))
    frame = room.at(side, room.length(side) * rng.uniform(0.35, 0.65), 0.5 * room.height, 0.04)
    half = rng.uniform(0.4, 0.8)
    u, v = half * frame[:3, 0], 0.6 * half * frame[:3, 1]
    shown = textures.picture(rng)
    stage.lights.screen = Screen(Panel(frame[:3, 3], u, v, np.full(3, rng.uniform(6.0, 25.0))), shown)
    if rng.random() < 0.6:
        ceiling_panels(stage, room)


# --- Hard ----------------------------------------------------------------------------------------------------------


def _window(stage: Stage, room: Room, side: int, share: tuple[float, float], *, glazed: float = 0.3) -> Array:
    """A window of that share of a wall's length and height, with all that belongs to it. The middle, world."""
    rng = stage.rng
    length = room.length(side)
    width, height = share[0] * length * rng.uniform(0.7, 1.0), share[1] * room.height * rng.uniform(0.8, 1.0)
    x = rng.uniform(0.1, max(0.11, 0.9 - width / length)) * length
    width = min(width, 0.95 * length - x)
    y = min(rng.uniform(0.25, 0.45) * room.height, 0.95 * room.height - height)
    room.holes.setdefault(side, []).append((x, x + width, y, y + height))
    corner = room.at(side, x, y)
    stage.put(furniture.window_frame(rng, width, height), corner, solid=False)
    if rng.random() < glazed and stage.has("pane"):
        pane = quad((0.0, 0.0, -0.075), (width, 0.0, 0.0), (0.0, height, 0.0))
        stage.put([(pane, "pane")], corner, solid=False)
    return np.asarray((corner @ (width / 2, height / 2, 0.0, 1.0))[:3])


def sunlit_window(stage: Stage, room: Room) -> None:
    """One window, the sun outside; blinds or curtains in front of it more often than not."""
    rng = stage.rng
    side = int(rng.integers(4))
    middle = _window(stage, room, side, (rng.uniform(0.4, 0.8), rng.uniform(0.45, 0.7)), glazed=0.2)
    x0, x1, y0, y1 = room.holes[side][0]
    dressed = rng.choice(["bare", "blinds", "curtains", "grid"], p=[0.3, 0.3, 0.25, 0.15])
    if dressed == "blinds":
        stage.put(furniture.blinds(rng, x1 - x0, y1 - y0), room.at(side, x0, y0))
    elif dressed == "grid":
        bars = furniture.grid(x1 - x0, y1 - y0, columns=int(rng.integers(4, 12)), rows=4, thick=0.008)
        stage.put(bars, room.at(side, (x0 + x1) / 2, y0, 0.03))
    elif dressed == "curtains":
        part = (x1 - x0) * rng.uniform(0.25, 0.48)
        for start in (x0 - 0.1, x1 + 0.1 - part):
            stage.put(furniture.curtain(rng, part, y1 - y0 + 0.5), room.at(side, start, max(y0 - 0.4, 0.02), 0.09))
    outward = -room.frame(side)[:3, 2]
    sun = unit(outward + rng.uniform(-0.7, 0.7) * room.frame(side)[:3, 0] + (0.0, rng.uniform(0.25, 1.2), 0.0))
    away = float(np.linalg.norm(middle - np.array([room.width, room.height, room.depth]) / 2))
    level = 1.6 * np.pi * away**2 / ((x1 - x0) * (y1 - y0))
    stage.lights.environment = sky(rng, sun=sun, level=min(level, 60.0), sun_irradiance=rng.uniform(0.5, 4.0))


def half_open_door(stage: Stage, room: Room) -> None:
    """All light comes from a lit hall behind a door that stands ajar."""
    rng = stage.rng
    side = int(rng.integers(4))
    width, height = 0.85, min(2.0, 0.9 * room.height)
    x = rng.uniform(0.15, 0.8) * (room.length(side) - width)
    x = max(x, 0.1)
    room.holes[side] = [(x, x + width, 0.0, height)]
    leaf = furniture.leaf_door(width, height, rng.uniform(0.6, 1.5))
    stage.put(leaf, room.at(side, x, 0.0, 0.0))
    near, far, left, right = -WALL, -2.4, x - 1.4, x + width + 1.4
    hall = [
        box((left, -0.1, far), (right, 0.0, near)),
        box((left, 2.6, far), (right, 2.7, near)),
        box((left, 0.0, far - 0.1), (right, 2.6, far)),
        box((left - 0.1, 0.0, far), (left, 2.6, near)),
        box((right, 0.0, far), (right + 0.1, 2.6, near)),
    ]
    # Where the hall is longer or higher than the room's wall, its own wall closes it.
    hall.append(
        furniture.wall(right - left, 2.6, 0.02, [(x - left, x - left + width, 0.0, height)]).transformed(
            placed((left, 0.0, near))
        )
    )
    slot = stage.slot("wall")
    for part in hall:
        stage.add(part.transformed(room.frame(side)), slot, solid=False)
    frame = room.at(side, x + width / 2 + rng.uniform(-0.8, 0.8), 2.55, rng.uniform(-1.9, -0.8))
    u, v = 0.5 * frame[:3, 0], 0.4 * frame[:3, 2]
    if np.cross(u, v)[1] > 0.0:
        u = -u
    stage.lights.panels.append(panel(rng, frame[:3, 3], u, v, reach=3.0, level=6.0))


def shaded_lamps(stage: Stage, room: Room) -> None:
    """Bulbs inside lampshades are all the light there is."""
    rng = stage.rng
    for _ in range(rng.integers(1, 3)):
        x, z = rng.uniform(0.15, 0.85, 2) * (room.width, room.depth)
        height = rng.uniform(0.35, 0.65) * room.height
        stage.put(furniture.floor_lamp(rng, height), placed((x, 0.0, z)))
        centre = np.array([x, height - 0.02, z])
        stage.lights.bulbs.append(bulb(rng, centre, rng.uniform(0.02, 0.045), reach=1.4, level=1.0))


def small_bulbs(stage: Stage, room: Room) -> None:
    """Tiny bright lamps in open tins, or larger ones in clear or frosted globes."""
    rng = stage.rng
    for _ in range(2):
        centre = rng.uniform((0.1, 0.25, 0.1), (0.9, 0.85, 0.9)) * (room.width, room.height, room.depth)
        enclosed = stage.has("glass") and rng.random() < 0.6
        radius = rng.uniform(0.05, 0.09) if enclosed else rng.uniform(0.006, 0.02)
        stage.lights.bulbs.append(bulb(rng, centre, radius, reach=1.5, level=0.8))
        if enclosed:
            globe = ball(1.6 * radius).transformed(placed(centre - (0.0, 1.6 * radius, 0.0)))
            stage.put([(globe, "glass")])
        else:
            tin = furniture.shade(rng, 0.12, 0.3).transformed(placed(centre - np.array([0.0, 0.12, 0.0])))
            stage.put([(tin, "paint")])


def cove(stage: Stage, room: Room) -> None:
    """Panels that shine at the ceiling from behind a ledge."""
    rng = stage.rng
    for side in rng.permutation(4)[: rng.integers(1, 3)]:
        length, y = room.length(int(side)), room.height - rng.uniform(0.2, 0.45)
        ledge = box((0.0, y - 0.03, 0.02), (length, y, 0.22)), box((0.0, y, 0.2), (length, y + 0.09, 0.22))
        slot = stage.slot("paint")
        for part in ledge:
            stage.add(part.transformed(room.frame(int(side))), slot, solid=False)
        frame = room.at(int(side), length / 2, y + 0.02, 0.11)
        u, v = 0.06 * frame[:3, 2], 0.46 * length * frame[:3, 0]
        if np.cross(u, v)[1] < 0.0:
            u = -u
        stage.lights.panels.append(panel(rng, frame[:3, 3], u, v, reach=1.8, level=4.0))


def bounced_spot(stage: Stage, room: Room) -> None:
    """A spot that lights a patch of a wall or of the ceiling; the rest of the room sees that patch alone."""
    rng = stage.rng
    size = np.array([room.width, room.height, room.depth])
    origin = rng.uniform((0.2, 0.2, 0.2), (0.8, 0.7, 0.8)) * size
    up = 1.0 if rng.random() < 0.6 else 0.1
    target = origin + np.array([rng.normal(0.0, 0.6), up, rng.normal(0.0, 0.6)])
    stage.lights.spot = Spot(origin, target, white(rng) * rng.uniform(120.0, 300.0))
    can = box((-0.05, -0.22, -0.05), (0.05, -0.1, 0.05))
    stage.add(can.transformed(placed(origin)), stage.slot("metal"))
    if rng.random() < 0.4:
        shaded_lamps(stage, room)


def hidden_panel(stage: Stage, room: Room) -> None:
    """A panel under the ceiling, and a board below it that hides it from most of the room."""
    rng = stage.rng
    x, z = rng.uniform(0.35, 0.65, 2) * (room.width, room.depth)
    half = rng.uniform(0.12, 0.2) * min(room.width, room.depth)
    y = room.height - rng.uniform(0.1, 0.25)
    stage.lights.panels.append(_down(room, rng, x, z, (half, half), 20.0))
    wide = half * rng.uniform(1.15, 1.6)
    board = box((x - wide, y - 0.03, z - wide), (x + wide, y, z + wide))
    stage.add(board, stage.slot("paint"))


Way = Callable[[Stage, Room], None]
PLAIN: tuple[Way, ...] = (ceiling_panels, ceiling_panels, pendant, picture_windows, monitor)
HARD: tuple[Way, ...] = (
    *(sunlit_window, sunlit_window, half_open_door, half_open_door, shaded_lamps),
    *(small_bulbs, cove, bounced_spot, hidden_panel),
)
