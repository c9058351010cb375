"""Man-made divisions of the square: bricks, planks, hexagons, scales, weaves, knits, grids of dots. All periodic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.capture.materials.fields import Cells, Field, Random, cells, coordinates

__all__ = ["Weave", "bricks", "dots", "herringbone", "hexagons", "knit", "planks", "scales", "scratches", "weave"]


def bricks(rng: Random, size: int, *, rows: int, columns: int, shift: float = 0.5) -> Cells:
    """Rows of rectangles, every other one shifted by a part of a rectangle. `rows` is even where they are shifted."""
    x, y = coordinates(size)
    row = np.floor(y * rows)
    across = x * columns + shift * (row % 2)
    column = np.floor(across)
    u, v = across - column - 0.5, y * rows - row - 0.5
    return _rectangles(
        row * columns + column % columns, rows * columns, u / columns, v / rows, 0.5 / columns, 0.5 / rows
    )


def planks(rng: Random, size: int, *, rows: int) -> Cells:
    """Boards from left to right, each row cut at places of its own."""
    x, y = coordinates(size)
    row = np.clip(np.floor(y * rows), 0, rows - 1).astype(np.int64)
    shift = rng.random(rows)[row]
    length = rng.choice([1, 2], rows)[row]  # boards in a row
    across = (x + shift) * length
    column = np.floor(across)
    u, v = (across - column - 0.5) / length, (y * rows - row - 0.5) / rows
    number = row * 2 + (column % length)
    return _rectangles(number, 2 * rows, u, v, 0.5 / length, 0.5 / rows)


def herringbone(rng: Random, size: int, *, count: int) -> Cells:
    """Parquet of blocks twice as long as wide, laid in zigzag; `count` block widths a side, a multiple of 4."""
    x, y = coordinates(size)
    gx, gy = np.floor(x * count).astype(np.int64), np.floor(y * count).astype(np.int64)
    turn = (gx + gy) % 4  # along a row: two squares of a lying block, then one each of two standing ones
    lying = turn < 2
    left = np.where(lying & (turn == 1), gx - 1, gx)
    # a standing block covers squares (gx, gy) with turn 3 above turn 2's neighbour below: (gx, gy) and (gx, gy − 1)
    top = np.where(~lying & (turn == 3), gy - 1, gy)
    middle_x = np.where(lying, left + 1.0, left + 0.5)
    middle_y = np.where(lying, top + 0.5, top + 1.0)
    u, v = x - middle_x / count, y - middle_y / count
    half_x = np.where(lying, 1.0, 0.5) / count
    half_y = np.where(lying, 0.5, 1.0) / count
    number = (top % count) * count + left % count
    return _rectangles(number, count * count, u, v, half_x, half_y)


def _rectangles(number: Field, count: int, u: Field, v: Field, half_x: object, half_y: object) -> Cells:
    edge = np.minimum(np.asarray(half_x) - np.abs(u), np.asarray(half_y) - np.abs(v))
    as_float = [np.asarray(each, np.float32) for each in (edge, u, v)]
    return Cells(np.asarray(number).astype(np.int64), int(count), *as_float)


def hexagons(size: int, *, rows: int) -> Cells:
    """A honeycomb of an even number of rows."""
    columns = max(round(rows * np.sqrt(3) / 2), 2)
    row, column = np.mgrid[0:rows, 0:columns]
    x = (column + 0.5 * (row % 2)) / columns
    return cells(np.stack([x.ravel(), (row.ravel() + 0.5) / rows], -1), size)


def scales(size: int, *, rows: int) -> Cells:
    """Rows of round scales, each over the one below it and shifted by half; `rows` is even. `edge` is the distance to
    the own rim, or to the rim of the scale above."""
    x, y = coordinates(size)
    radius, columns = 1.0 / rows, rows // 2
    row = np.floor(y * rows)

    def places(of: Field) -> tuple[Field, Field, Field]:
        """Column, and place from the middle of the scale's round end, of the scales of a row."""
        across = x * columns - 0.5 * (of % 2)
        column = np.floor(across + 0.5)
        return column, (across - column) / columns, y - of / rows

    upper, lower = places(row), places(row + 1)
    above = radius - np.hypot(upper[1], upper[2])
    inside = above > 0
    chosen = [np.where(inside, a, b) for a, b in zip(upper, lower, strict=True)]
    edge = np.where(inside, above, np.minimum(-above, radius - np.abs(lower[1])))
    number = np.where(inside, row, row + 1) % rows * columns + chosen[0] % columns
    fields = [np.asarray(each, np.float32) for each in (edge, chosen[1], chosen[2])]
    return Cells(number.astype(np.int64), rows * columns, *fields)


@dataclass(frozen=True)
class Weave:
    """Cloth.

    Attributes:
        height: of the threads, [0, 1].
        warp: whether the upper thread runs up and down.
        thread: number of the upper thread.
        along, across: place along and across the upper thread, in threads.
    """

    height: Field
    warp: np.ndarray
    thread: np.ndarray
    along: Field
    across: Field


def weave(size: int, *, threads: int, over: int = 1, shift: int = 1) -> Weave:
    """Warp and weft: each thread goes over and under `over` others; each next one is shifted. over 1: plain; 2, shift
    1: twill. `threads` must be a multiple of 2 · over."""
    x, y = coordinates(size)
    u, v = x * threads, y * threads
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    warp = ((i * shift + j) % (2 * over)) < over
    across = np.where(warp, u - i, v - j) - 0.5
    along = np.where(warp, v, u)
    # A float rises over the middle of its run.
    run = np.where(warp, (i * shift + j) % (2 * over), (i * shift + j - over) % (2 * over))
    place = (run + np.where(warp, v - j, u - i)) / over
    arch = np.sin(np.pi * np.clip(place, 0, 1)) ** 0.5
    round_ = np.sqrt(np.clip(1 - (2.1 * across) ** 2, 0, 1))
    height = (0.35 + 0.65 * arch) * round_
    return Weave(
        height.astype(np.float32), warp, np.where(warp, i, j), along.astype(np.float32), across.astype(np.float32)
    )


def knit(size: int, *, stitches: int) -> tuple[Field, Field]:
    """Stocking stitch: height in [0, 1] of columns of V's, and the place along the yarn in stitches."""
    x, y = coordinates(size)
    u, v = x * stitches, y * stitches * 1.25
    side = np.where(u % 1.0 < 0.5, 1.0, -1.0)
    centre = (u % 0.5) - 0.25
    slanted = v + side * 1.4 * centre
    along = slanted % 1.0
    loop = np.sqrt(np.clip(1 - (2.2 * (along - 0.5)) ** 2, 0, 1)) * np.sqrt(np.clip(1 - (3.9 * centre) ** 2, 0, 1))
    return loop.astype(np.float32), (slanted + 8 * centre).astype(np.float32)


def dots(size: int, *, count: int, radius: float, staggered: bool, long: float = 1.0) -> Field:
    """Distance inside round or long dots on a grid, in cells: positive inside, negative outside."""
    x, y = coordinates(size)
    row = np.floor(y * count)
    u = (x * count + (0.5 * (row % 2) if staggered else 0.0)) % 1.0 - 0.5
    v = y * count - row - 0.5
    if long != 1.0:  # chequer plate: lozenges that lean left and right in turn
        sign = np.where((np.floor(x * count) + row) % 2 < 1, 1.0, -1.0)
        u, v = (u + sign * v) * 0.7071, (v - sign * u) * 0.7071
        return (radius - np.hypot(u * long, v)).astype(np.float32)
    return (radius - np.hypot(u, v)).astype(np.float32)


def scratches(rng: Random, size: int, *, count: int, length: float = 0.4, spread: float = np.pi) -> Field:
    """Thin straight lines, 1 on them; `spread`: range of their directions."""
    from PIL import Image, ImageDraw

    scale = 2
    image = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(image)
    around = rng.random() * np.pi
    for _ in range(count):
        x, y = rng.random(2) * size * scale
        angle = around + (rng.random() - 0.5) * spread
        reach = rng.exponential(length) * size * scale / 2
        dx, dy = np.cos(angle) * reach, np.sin(angle) * reach
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=int(rng.integers(60, 255)), width=int(rng.integers(1, 3)))
    small = image.resize((size, size), Image.Resampling.BOX)
    return (np.asarray(small, np.float32) / 255.0).astype(np.float32)
