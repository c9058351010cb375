"""`denoise.backend: oidn`: Intel Open Image Denoise, frame by frame, on the CPU.

The beauty is denoised in one go, which is what the network was trained on; the components are denoised beside it and
share the beauty out among them, so that they sum to it. Albedo and normal guide it where the frame brought them; beauty
alone is enough. λ has nothing to steer here and is not read. Two runs give equal bits, whatever the number of threads.

Source: the recipe of the library's documentation (albedo and normal prefiltered on their own, then `cleanAux`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from pipeline.denoise.backends import DEMODULATION, Denoised, alpha_of
from pipeline.denoise.frame import Frame, Window, frame_of
from pipeline.errors import ConfigError, DeviceError
from pipeline.render.buffers import COMPONENTS

__all__ = ["PRESETS", "Filters", "Oidn", "Recipe", "load_library", "raise_error", "share_out"]

Array = NDArray[np.float32]

_REACH = 8  # pixels; a component that is exactly 0 this far around a pixel is given none of its light


@dataclass(frozen=True)
class Recipe:
    """How much work a frame is worth.

    Attributes:
        beauty: quality of the beauty's filter: `high`, `balanced` or `fast`.
        components: the same for the components, which only set proportions.
        prefilter: albedo and normal are denoised first, with the beauty's quality, and then taken for clean.
    """

    beauty: str
    components: str
    prefilter: bool


PRESETS = {
    "paper": Recipe("high", "balanced", prefilter=True),
    "fast": Recipe("balanced", "fast", prefilter=False),
}
"""`denoise.preset` for this backend: `paper` is the library's best, `fast` takes a third of its time for 1 to 7 % more
SMAPE (three interiors at 16 samples per pixel)."""


class Oidn:
    """Open Image Denoise behind the `Denoiser` interface.

    Args:
        preset: a key of `PRESETS`.
        threads: CPU threads; None lets the library take all cores that the process may use.

    Raises:
        ConfigError: the package `pyoidn` is not installed, or the preset is unknown.
    """

    name = "oidn"
    radius = 0

    def __init__(self, *, preset: str = "paper", threads: int | None = None) -> None:
        if preset not in PRESETS:
            raise ConfigError(
                f"`{preset}` is not a preset of oidn", key="denoise.preset", suggestion=" or ".join(PRESETS)
            )
        if find_spec("pyoidn") is None:
            raise ConfigError(
                "oidn needs the package `pyoidn`, which is not installed",
                key="denoise.backend",
                suggestion="pip install 'penumbra-pipeline[oidn]', or use `none`",
            )
        self.recipe = PRESETS[preset]
        self.threads = threads

    def denoise(self, window: Window, centre: int, lambda_: Array | float) -> Denoised:
        """The frame `centre`, from its own buffers alone.

        Raises:
            ProductError: the window has no buffers of `centre`.
            DeviceError: the library cannot be loaded, or reports an error.
        """
        frame = frame_of(window, centre)
        oidn = load_library()
        with oidn.Device(oidn.OIDN_DEVICE_TYPE_CPU) as device:
            if self.threads is not None:
                device.set_int("numThreads", self.threads)
            device.set_bool("setAffinity", False)  # workers side by side would all be pinned to the same cores
            device.commit()
            raise_error(device)
            return self._denoise(Filters(oidn, device), frame)

    def _denoise(self, filters: Filters, frame: Frame) -> Denoised:
        guides = _guides(frame)
        quality = self.recipe.beauty
        clean = self.recipe.prefilter and bool(guides)
        if clean:
            guides = {name: filters.run({name: image}, quality) for name, image in guides.items()}
        beauty = filters.run({"color": frame.beauty, **guides}, quality, hdr=True, cleanAux=clean)
        if not frame.splits:
            return Denoised.unsplit(beauty, alpha_of(frame))
        albedo = np.float32(1.0) if frame.albedo is None else frame.albedo + np.float32(DEMODULATION)
        parts: dict[str, Array] = {}
        for component in COMPONENTS:
            noisy = frame.component(component)
            if not noisy.any():
                parts[component] = np.zeros_like(noisy)
                continue
            colour = noisy / albedo if component == "diffuse" else noisy
            clear = filters.run({"color": colour, **guides}, self.recipe.components, hdr=True, cleanAux=clean)
            clear = clear * albedo if component == "diffuse" else clear
            near = maximum_filter(noisy.max(axis=-1), size=2 * _REACH + 1, mode="nearest") > 0
            parts[component] = clear * near[..., None]
        shared = share_out(beauty, parts)
        return Denoised(shared["emission"], shared["diffuse"], shared["specular"], alpha_of(frame))


def _guides(frame: Frame) -> dict[str, Array]:
    """The features that the frame brought; the library takes a normal only beside an albedo."""
    if frame.albedo is None:
        return {}
    # What shines is its own colour to the network, as what reflects is.
    guides = {"albedo": np.clip(frame.albedo + frame.component("emission"), 0.0, 1.0)}
    return guides if frame.normal is None else {**guides, "normal": frame.normal}


def share_out(beauty: Array, parts: dict[str, Array]) -> dict[str, Array]:
    """Parts in the proportion given, that sum to the beauty.

    Args:
        beauty: H×W×3, ≥ 0.
        parts: H×W×3 each, ≥ 0; where all are 0, the light goes to `diffuse`.

    Returns:
        parts of the same names, ≥ 0; their sum is the beauty up to rounding.
    """
    total: Array = np.sum(list(parts.values()), axis=0, dtype=np.float32)
    dark = total <= 0
    scale = np.divide(beauty, np.where(dark, 1.0, total), dtype=np.float32)
    shared = {name: part * scale for name, part in parts.items()}
    shared["diffuse"] = np.where(dark, beauty, shared["diffuse"])
    return shared


class Filters:
    """Runs filters on one device."""

    def __init__(self, oidn: Any, device: Any) -> None:
        self._oidn, self._device = oidn, device
        self._qualities = {
            "high": oidn.OIDN_QUALITY_HIGH,
            "balanced": oidn.OIDN_QUALITY_BALANCED,
            "fast": oidn.OIDN_QUALITY_FAST,
        }

    def run(self, images: dict[str, Array], quality: str, **flags: bool) -> Array:
        """Denoises the image `color`, or the only feature given: H×W×3; what is non-negative stays so."""
        images = {name: np.ascontiguousarray(image, dtype=np.float32) for name, image in images.items()}
        output = np.empty_like(next(iter(images.values())))
        float3 = self._oidn.OIDN_FORMAT_FLOAT3
        with self._oidn.Filter(self._device, self._oidn.OIDN_FILTER_TYPE_RT) as rt:
            for name, image in images.items():
                rt.set_image(name, image, float3)
            rt.set_image("output", output, float3)
            for flag, value in flags.items():
                rt.set_bool(flag, value)
            rt.set_quality(self._qualities[quality])
            rt.commit()
            rt.execute()
        raise_error(self._device)
        return output if "normal" in images and "color" not in images else np.maximum(output, 0.0)


def load_library() -> Any:
    """The package `pyoidn`. Raises DeviceError when it cannot be loaded."""
    try:
        import pyoidn
    except (ImportError, OSError) as error:
        raise DeviceError(f"Open Image Denoise cannot be loaded: {error}") from error
    return pyoidn


def raise_error(device: Any) -> None:
    """Raises DeviceError when the device reports an error."""
    message = device.get_error()
    if message is not None:
        raise DeviceError(f"Open Image Denoise: {message}")
