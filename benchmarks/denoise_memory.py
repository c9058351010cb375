"""Resident memory of denoising one frame at 3840×2160. Run by `benchmarks.denoise_cost`, in a process of its own.

Frames are made when the denoiser asks for them, as they would be read from a store, and kept by nobody but it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.denoise_peers import CONTENDERS
from benchmarks.render_memory import peak_gib
from pipeline.denoise.frame import Frame
from pipeline.render.buffers import COMPONENTS

WIDTH, HEIGHT = 3840, 2160
TILE = 120


class Lazy(Mapping[int, Frame]):
    """Frames 0 … 2·radius of a noisy picture that moves to the left by two pixels a frame."""

    def __init__(self, radius: int) -> None:
        self._frames = range(2 * radius + 1)

    def __getitem__(self, number: int) -> Frame:
        if number not in self._frames:
            raise KeyError(number)
        return frame(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def digest(self, number: int) -> str:
        """Names the frame's content."""
        return f"synthetic-{number}"


def frame(number: int) -> Frame:
    """All layers that our own passes make, but the halves of the samples and the ids, which no network reads."""
    rng = np.random.default_rng(number)

    def noise(channels: int, low: float = 0.0) -> NDArray[np.float32]:
        tile = rng.uniform(low, 1.0, (TILE, TILE, channels)).astype(np.float32)
        return np.tile(tile, (HEIGHT // TILE, WIDTH // TILE, 1))

    def plane(value: float) -> NDArray[np.float32]:
        return np.full((HEIGHT, WIDTH), value, np.float32)

    move = np.broadcast_to(np.array([2.0, 0.0], np.float32), (HEIGHT, WIDTH, 2))
    return Frame(
        components={name: noise(3) for name in COMPONENTS},
        variance={name: noise(1)[..., 0] for name in ("beauty", *COMPONENTS, "albedo", "normal", "depth")},
        albedo=noise(3),
        normal=noise(3, -1.0),
        depth=plane(10.0),
        alpha=plane(1.0),
        forward=np.ascontiguousarray(-move),
        backward=np.ascontiguousarray(move),
        forward_valid=plane(1.0),
        backward_valid=plane(1.0),
        count=plane(16.0),
    )


def measured(contender: str, threads: int) -> dict[str, float]:
    """Peak of the process, what it was before the first frame was read, and the size of one frame: GiB."""
    denoiser = CONTENDERS[contender](threads=threads)
    before = peak_gib()
    denoiser.denoise(Lazy(denoiser.radius), denoiser.radius, 1.0)
    layers = 3 * 3 + 7 + 3 + 3 + 1 + 1 + 2 + 2 + 1 + 1 + 1
    return {"peak": peak_gib(), "before": before, "frame": layers * 4 * WIDTH * HEIGHT / 2**30}
