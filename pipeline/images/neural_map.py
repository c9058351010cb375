"""Neural maps: a texture or an environment map as small sine networks, one per tile, and their exact decoding.

Each tile's network takes a texel's place in the tile to its code. Weights are 16-bit integers, activations 15-bit ones
from a table of sines, and sums of their products stay below 2⁵³, where float64 arithmetic is exact: decoding gives the
same bits on every machine, whatever its matrix library and its number of threads, so that frames which workers render
from such a map agree.

Needs numpy alone. `pipeline.optim.assets` makes the files.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError

__all__ = [
    "COORDINATE",
    "HALF_TOP",
    "PHASES",
    "SUFFIX",
    "UNIT",
    "Layer",
    "NeuralMap",
    "axis_positions",
    "decode",
    "read",
    "save",
    "tile_starts",
]

SUFFIX = ".neural"
FORMAT = 1

PHASES = 1 << 16
"""Entries of the table of sines: steps of a full turn."""

UNIT = 1 << 14
"""Integer that stands for an activation of 1."""

COORDINATE = 1 << 12
"""Integer that stands for a coordinate of 1."""

HALF_TOP = 0x7BFF
"""Bits of the largest finite half. Bits of positive halves grow with their values, about as the logarithm does."""

LARGEST = 1 << 16
"""Texels of a side that are still believed."""

Integers = NDArray[np.float64]
"""Whole numbers in float64."""


@dataclass(frozen=True)
class Layer:
    """One layer of all tiles' networks.

    Attributes:
        weights: int16, tiles×inputs×outputs.
        biases: int32, tiles×outputs.
        shift: a sum is in units of 2^−shift turns (hidden layers), or of 2^−shift (the last one).
    """

    weights: NDArray[np.int16]
    biases: NDArray[np.int32]
    shift: int


@dataclass(frozen=True)
class NeuralMap:
    """A map as stored.

    Attributes:
        height, width, channels: of the map, texels.
        coding: `display`: codes are sRGB-encoded 16-bit values, as of a PNG; `half`: they are the bits of halves.
        wraps: columns go round, as of an environment map.
        tile: texels of a tile's side; `margin` more on each side are blended with its neighbours.
        layers: hidden layers, then the output.
        peaks: flat texel indices (int64), and peak_codes their exact codes (n×channels): what is too bright to be
            learnt.
        provenance: where the map is from, and how well it fits.
    """

    height: int
    width: int
    channels: int
    coding: Literal["display", "half"]
    wraps: bool
    tile: int
    margin: int
    layers: tuple[Layer, ...]
    peaks: NDArray[np.int64]
    peak_codes: NDArray[np.uint16]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def top(self) -> int:
        """The largest code."""
        return HALF_TOP if self.coding == "half" else 0xFFFF


# --- Files --------------------------------------------------------------------------------------------------------


def save(path: Path, stored: NeuralMap) -> int:
    """Writes a neural map, whole or not at all; the same bytes for the same map. Returns their number.

    Raises:
        AssetError: the file cannot be written.
    """
    names = ("height", "width", "channels", "coding", "wraps", "tile", "margin")
    header = {"format": FORMAT, **{name: getattr(stored, name) for name in names}}
    header |= {"shifts": [layer.shift for layer in stored.layers], "provenance": dict(stored.provenance)}
    arrays: dict[str, NDArray[Any]] = {"peaks": stored.peaks, "peak_codes": stored.peak_codes}
    for index, layer in enumerate(stored.layers):
        arrays |= {f"weights_{index}": layer.weights, f"biases_{index}": layer.biases}
    text = np.frombuffer(json.dumps(header, sort_keys=True, ensure_ascii=False).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, header=text, **arrays)
    data = stream.getvalue()
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AssetError(f"{path}: cannot be written: {error.strerror or error}") from error
    return len(data)


def read(path: Path) -> NeuralMap:
    """The neural map of a file, checked.

    Raises:
        AssetError: it is missing, damaged, or of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header.get("format") != FORMAT:
                raise AssetError(f"{path}: a neural map of format {header.get('format')}, not {FORMAT}; encode it anew")
            layers = tuple(
                Layer(file[f"weights_{i}"], file[f"biases_{i}"], int(shift)) for i, shift in enumerate(header["shifts"])
            )
            settings = {name: header[name] for name in ("height", "width", "channels", "coding", "wraps", "tile")}
            stored = NeuralMap(
                **settings,
                margin=header["margin"],
                layers=layers,
                peaks=file["peaks"],
                peak_codes=file["peak_codes"],
                provenance=header["provenance"],
            )
    except FileNotFoundError:
        raise AssetError(f"{path}: missing file") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise AssetError(f"{path}: is not a neural map, or is damaged ({error})") from error
    if problem := _problem(stored):
        raise AssetError(f"{path}: is damaged: {problem}")
    return stored


def _problem(stored: NeuralMap) -> str:
    """What contradicts itself in a map that was read; empty if nothing does."""
    sizes = (stored.height, stored.width, stored.channels, stored.tile)
    if not all(isinstance(n, int) and 0 < n <= LARGEST for n in sizes) or stored.channels > 4:
        return f"sizes {sizes}"
    if stored.coding not in ("display", "half") or not 0 <= stored.margin <= stored.tile or not stored.layers:
        return "its header"
    tiles, inputs = len(tile_starts(stored.height, stored.tile)) * len(tile_starts(stored.width, stored.tile)), 2
    for layer in stored.layers:
        if layer.weights.dtype != np.int16 or layer.biases.dtype != np.int32 or not 0 <= layer.shift <= 32:
            return "types of its layers"
        if layer.weights.ndim != 3 or layer.weights.shape[:2] != (tiles, inputs) or inputs > 1024:
            return "shapes of its layers"
        inputs = layer.weights.shape[2]
        if layer.biases.shape != (tiles, inputs):
            return "shapes of its layers"
    if inputs != stored.channels or stored.peak_codes.shape != (len(stored.peaks), stored.channels):
        return "its channels"
    if len(stored.peaks) and not (stored.peaks.min() >= 0 and stored.peaks.max() < stored.height * stored.width):
        return "its peaks"
    return ""


# --- Tiles --------------------------------------------------------------------------------------------------------


def tile_starts(size: int, tile: int) -> range:
    """First texels, margins aside, of the tiles along an axis."""
    return range(0, size, tile)


def axis_positions(side: int) -> NDArray[np.int64]:
    """Coordinates of a tile's texels along an axis, as integers: COORDINATE · (2i + 1 − side) / side, rounded down."""
    positions: NDArray[np.int64] = COORDINATE * (2 * np.arange(side) + 1 - side) // side
    return positions


def _tent(side: int, margin: int) -> Integers:
    """Weights of a tile along an axis: rising over twice the margin, flat, falling."""
    places = np.arange(side)
    rising: Integers = np.minimum(np.minimum(places + 1, side - places), 2 * margin + 1).astype(np.float64)
    return rising


# --- Decoding -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _sines() -> Integers:
    """UNIT · sin of each phase, rounded. No entry lies near a half, so that every mathematics library agrees on it."""
    table: Integers = np.rint(UNIT * np.sin(2 * np.pi * np.arange(PHASES) / PHASES))
    return table


def decode(stored: NeuralMap) -> NDArray[np.uint16]:
    """All codes of a map, uint16, height×width×channels: `view(np.float16)` gives the values of `half`."""
    side = stored.tile + 2 * stored.margin
    axis = axis_positions(side)
    places = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).reshape(-1, 2).astype(np.float64)
    tent = _tent(side, stored.margin)
    tent = tent[:, None] * tent[None, :]
    sums = np.zeros((stored.height, stored.width, stored.channels))
    weights = np.zeros((stored.height, stored.width, 1))
    starts = [
        (y - stored.margin, x - stored.margin)
        for y in tile_starts(stored.height, stored.tile)
        for x in tile_starts(stored.width, stored.tile)
    ]

    def codes_of(index: int) -> Integers:
        return _codes(stored, index, places).reshape(side, side, stored.channels)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for group in _groups(range(len(starts)), 64):
            for index, codes in zip(group, pool.map(codes_of, group), strict=True):
                rows, columns, inside = _footprint(stored, *starts[index], side)
                cut = np.ix_(*inside)
                sums[np.ix_(rows, columns)] += tent[cut][..., None] * codes[cut]
                weights[np.ix_(rows, columns)] += tent[cut][..., None]
    blended: NDArray[np.uint16] = np.floor(sums / weights + 0.5).astype(np.uint16)
    blended.reshape(-1, stored.channels)[stored.peaks] = stored.peak_codes
    return blended


def _groups(items: range, size: int) -> Iterator[range]:
    """Pieces of a range: so many tiles wait in memory, at most."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _footprint(
    stored: NeuralMap, top: int, left: int, side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Rows and columns of the map that a tile covers, and which of the tile's own they are."""
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    high = (rows >= 0) & (rows < stored.height)
    if stored.wraps:
        wide = np.zeros(side, dtype=bool)
        wide[: min(side, stored.width)] = True  # a map narrower than a tile is not covered twice
        columns = columns % stored.width
    else:
        wide = (columns >= 0) & (columns < stored.width)
    return rows[high], columns[wide], (high, wide)


def _codes(stored: NeuralMap, tile: int, places: Integers) -> Integers:
    """Codes of one tile's texels: texels×channels, whole numbers."""
    x, unit = places, COORDINATE
    *hidden, last = stored.layers
    for layer in hidden:
        sums = x @ layer.weights[tile].astype(np.float64) + layer.biases[tile] * float(unit)
        phases = np.floor(sums * (PHASES / (unit * 2.0**layer.shift))).astype(np.int64) & (PHASES - 1)
        x, unit = _sines()[phases], UNIT
    sums = x @ last.weights[tile].astype(np.float64) + last.biases[tile] * float(unit)
    values = sums / (unit * 2.0**last.shift)
    codes: Integers = np.clip(np.floor((values + 1) * (stored.top / 2) + 0.5), 0, stored.top)
    return codes
