"""λ live: a frame is prepared once up to where λ comes in, and finished for every λ that is asked for.

The frame stands in at a proxy's size: all of it at a fraction of its resolution, or a part of it pixel by pixel.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.config.values import LAMBDA_RANGE
from pipeline.denoise.proxy import cropped, shrunk
from pipeline.errors import ConfigError, ProductError
from pipeline.farm import names, plan
from pipeline.farm.control import Control
from pipeline.farm.names import Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.windows import StoredWindow
from pipeline.images.proxy import proxy_step

if TYPE_CHECKING:
    from pipeline.denoise.kpcn import Kpcn, Prepared

__all__ = ["Region", "Steering", "painted"]

KEPT: Final = 4
"""Pictures that stay prepared: up to some 130 MB each."""

By = Literal["kpcn", "oidn"]


@dataclass(frozen=True)
class Region:
    """A part of a frame, in its pixels; None stands for all of it, smaller."""

    left: int
    top: int
    width: int
    height: int


def painted(value: float, strokes: NDArray[np.uint8] | None, shape: tuple[int, int]) -> NDArray[np.float32] | float:
    """λ of every pixel, where a map was painted; else λ itself.

    Args:
        value: where nothing is painted.
        strokes: painted λ, H×W of any size: 0 nothing, 1 … 255 from the least λ to the greatest, in equal factors.
        shape: (H, W) wanted.

    Raises:
        ConfigError: λ is out of its range.
    """
    low, high = LAMBDA_RANGE
    if not low <= value <= high:
        raise ConfigError(f"λ is {value:g}; it goes from {low:g} to {high:g}", key="denoise.lambda")
    if strokes is None or not strokes.any():
        return value
    rows = np.arange(shape[0]) * strokes.shape[0] // shape[0]
    columns = np.arange(shape[1]) * strokes.shape[1] // shape[1]
    wide = strokes[rows[:, None], columns]
    steered = low * (high / low) ** ((wide.astype(np.float32) - 1) / 254)
    return np.where(wide > 0, steered, np.float32(value)).astype(np.float32)


class Steering:
    """Frames that were prepared for steering. Safe to use from many threads; one frame is worked on at a time."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._prepared: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()
        self._networks: dict[str, Kpcn] = {}

    def picture(
        self,
        products: Products,
        frame: Frame,
        value: float,
        *,
        strokes: NDArray[np.uint8] | None = None,
        region: Region | None = None,
        coarser: int = 1,
        by: By = "kpcn",
    ) -> NDArray[np.float16]:
        """The denoised beauty of a proxy: H×W×3, linear.

        Args:
            products: of the job.
            frame: that has its sums.
            value: λ where nothing is painted.
            strokes: see `painted`; of the whole frame, whatever the region.
            region: of the frame; None: all of it, at `proxy_step`.
            coarser: so many pixels to either side of the proxy become one: quicker, for while a slider moves.
            by: the network, or OIDN, which knows no λ.

        Raises:
            ConfigError: λ is out of its range, or the denoiser is not installed here.
            ProductError: the frame's sums are gone, or were never made.
        """
        with self._lock:
            if by == "oidn":
                return _half(self._oidn(products, frame, region, coarser))
            preset = str(products.job.config["denoise"]["preset"])
            prepared = self._prepare(products, frame, region, coarser, preset)
            steered = painted(value, strokes, prepared.shape if region is None else _size(products, frame))
            if region is not None and isinstance(steered, np.ndarray):
                height, width = prepared.shape
                part = steered[_rows(region), _columns(region)][::coarser, ::coarser]
                steered = np.ascontiguousarray(part[:height, :width])
            return _half(self._networks[preset].finish(prepared, steered).beauty)

    def _prepare(self, products: Products, frame: Frame, region: Region | None, coarser: int, preset: str) -> Prepared:
        sources = _sources(products, frame)
        key = (preset, region, coarser, tuple(products.digest(name) for name in sources.values()))
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        network = self._network(preset)
        prepared = network.prepare(_window(products, sources, frame, region, coarser), frame)
        self._prepared[key] = prepared
        while len(self._prepared) > KEPT:
            self._prepared.popitem(last=False)
        return prepared

    def _network(self, preset: str) -> Kpcn:
        if preset not in self._networks:
            from pipeline.config.denoise import Denoise
            from pipeline.denoise.backends import backend
            from pipeline.denoise.kpcn import Kpcn

            network = backend(Denoise(backend="kpcn", preset=preset), threads=self._threads)  # says what is missing
            assert isinstance(network, Kpcn)
            self._networks[preset] = network
        return self._networks[preset]

    def _oidn(self, products: Products, frame: Frame, region: Region | None, coarser: int) -> NDArray[np.float32]:
        from pipeline.config.denoise import Denoise
        from pipeline.denoise.backends import backend

        window = _window(products, _sources(products, frame), frame, region, coarser)
        return backend(Denoise(backend="oidn"), threads=self._threads).denoise(window, frame, 1.0).beauty


def _sources(products: Products, frame: Frame) -> dict[Frame, str]:
    """The sums of a frame and of those around it, the newest that are there."""
    job = products.job
    if job.engine != "mitsuba":
        raise ProductError(f"{job.id} is a rehearsal, which has nothing to denoise")
    wanted = JobPlan.of(job, Control(products.store, job.directory).look())
    if products.exists(names.stop(frame)):
        found = plan.window(wanted, frame, int(products.facts(names.stop(frame))["round"]), products)
        if found is not None and all(products.exists(name) for name in found.values()):
            return found
    return {frame: _newest(products, frame)}


def _newest(products: Products, frame: Frame) -> str:
    r = 0
    while products.exists(names.buffers(frame, r + 1)):
        r += 1
    if not products.exists(names.buffers(frame, r)):
        raise ProductError(f"frame {frame} has no sums to denoise: none were made yet, or they were cleaned away")
    return names.buffers(frame, r)


def _window(
    products: Products, sources: dict[Frame, str], frame: Frame, region: Region | None, coarser: int
) -> dict[Frame, Any]:
    stored = StoredWindow(products, sources, products.job.config["sampling"]["combination"])
    if region is not None:
        parts = ((number, cropped(stored[number], _rows(region), _columns(region))) for number in sources)
        return {number: shrunk(part, coarser) for number, part in parts}
    height, width = stored[frame].shape
    step = proxy_step(width, height) * coarser
    return {number: shrunk(stored[number], step) for number in sources}


def _size(products: Products, frame: Frame) -> tuple[int, int]:
    height, width = products.read(names.samples(frame, 0)).arrays["map"].shape
    return height, width


def _rows(region: Region) -> slice:
    return slice(region.top, region.top + region.height)


def _columns(region: Region) -> slice:
    return slice(region.left, region.left + region.width)


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return np.clip(values, 0, 65504).astype(np.float16)
