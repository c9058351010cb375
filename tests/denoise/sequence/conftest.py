"""Small EXRs, written as other renderers name their channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

HEIGHT, WIDTH = 12, 16
Channels = dict[str, np.ndarray]


@pytest.fixture
def colour() -> Callable[..., Channels]:
    """Gives the channels of an H×W×C layer: `prefix` + axis."""

    def named(prefix: str, values: np.ndarray, axes: str = "RGB") -> Channels:
        return {prefix + axis: np.ascontiguousarray(values[..., i]) for i, axis in enumerate(axes)}

    return named


@pytest.fixture
def layers() -> Channels:
    """A frame in numbers that half precision keeps, so that sums can be compared exactly."""
    rng = np.random.default_rng(5)

    def draw(channels: int, least: float = 0.0, most: float = 1.0) -> np.ndarray:
        return (rng.integers(0, 64, (HEIGHT, WIDTH, channels)) / 64 * (most - least) + least).astype(np.float32)

    found = {name: draw(3) for name in ("diffuse", "specular", "emission", "albedo", "spread", "extra")}
    found |= {"normal": draw(3, -1.0, 1.0), "vector": draw(4, -2.0, 2.0), "scalar": draw(1)}
    found["beauty"] = found["diffuse"] + found["specular"] + found["emission"]
    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a single-part EXR under `in/` and gives its path."""

    def made(name: str, channels: Channels, **header: Any) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        full = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
        OpenEXR.File(full, channels).write(str(path))
        return path

    return made


@pytest.fixture
def channels_of() -> Callable[[Path], Channels]:
    """Reads all channels of a file by name, as stored; parts put together."""

    def read(path: Path) -> Channels:
        parts = OpenEXR.File(str(path), separate_channels=True).parts
        return {name: channel.pixels.copy() for part in parts for name, channel in part.channels.items()}

    return read
