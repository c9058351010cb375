"""What a denoiser reads of one frame: ours or another renderer's, with whatever layers it brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProductError
from pipeline.render.buffers import COMPONENTS, FrameBuffers

__all__ = ["OWN_SOURCE", "UNSPLIT", "Frame", "Window", "frame_of"]

Array = NDArray[np.float32]

UNSPLIT = "beauty"
"""The only component of a frame whose renderer did not split radiance."""

OWN_SOURCE = "penumbra"
"""Source of the frames that our own passes make."""


@dataclass(frozen=True)
class Frame:
    """One frame, float32; colours linear. A layer that is None was not rendered.

    Attributes:
        components: H×W×3 each: emission, diffuse (albedo multiplied in) and specular; or `beauty` alone.
        variance: of the mean, H×W: luminance of a component; mean over the axes of `albedo` and `normal`. May lack any.
        albedo: H×W×3, [0, 1].
        normal: H×W×3; world or camera space.
        depth: H×W, distance to the camera; 0 where nothing was hit.
        alpha: H×W, [0, 1].
        forward, backward: H×W×2, pixels (x right, y down) to the next and to the previous frame.
        forward_valid, backward_valid: H×W, [0, 1]: share of samples whose motion is known.
        ids: H×W: index + 1 into the scene's shape names, 0 for background.
        count: H×W, samples in the means.
        halves: two of H×W×9 (emission, diffuse, specular), means of disjoint halves of the samples.
        source: name of the encoder that the layers fit (`network/sources.py`).
        mended: values that `sane` replaced, by layer.
    """

    components: Mapping[str, Array]
    variance: Mapping[str, Array] = field(default_factory=dict)
    albedo: Array | None = None
    normal: Array | None = None
    depth: Array | None = None
    alpha: Array | None = None
    forward: Array | None = None
    backward: Array | None = None
    forward_valid: Array | None = None
    backward_valid: Array | None = None
    ids: NDArray[np.uint32] | None = None
    count: Array | None = None
    halves: tuple[Array, Array] | None = None
    source: str = OWN_SOURCE
    mended: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(buffers: FrameBuffers) -> Frame:
        """The frame that our own passes made."""
        return Frame(
            components={name: getattr(buffers, name) for name in COMPONENTS},
            variance=buffers.variance,
            albedo=buffers.albedo,
            normal=buffers.normal,
            depth=buffers.depth,
            alpha=buffers.alpha,
            forward=buffers.forward,
            backward=buffers.backward,
            forward_valid=buffers.forward_valid,
            backward_valid=buffers.backward_valid,
            ids=buffers.ids,
            count=buffers.count,
            halves=(buffers.half_a, buffers.half_b),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = next(iter(self.components.values())).shape[:2]
        return height, width

    @property
    def nbytes(self) -> int:
        """Of all layers."""
        single = (self.albedo, self.normal, self.depth, self.alpha, self.forward, self.backward, self.forward_valid,
                  self.backward_valid, self.ids, self.count)  # fmt: skip
        layers = [*self.components.values(), *self.variance.values(), *single, *(self.halves or ())]
        return sum(layer.nbytes for layer in layers if layer is not None)

    def rows(self, first: int, last: int) -> Frame:
        """Rows `first` … `last` − 1 of all layers, in the same memory."""

        def cut(layer: Any) -> Any:
            return None if layer is None else layer[first:last]

        single = ("albedo", "normal", "depth", "alpha", "forward", "backward", "forward_valid", "backward_valid", "ids",
                  "count")  # fmt: skip
        return replace(
            self,
            components={name: cut(layer) for name, layer in self.components.items()},
            variance={name: cut(layer) for name, layer in self.variance.items()},
            halves=None if self.halves is None else (cut(self.halves[0]), cut(self.halves[1])),
            **{name: cut(getattr(self, name)) for name in single},
        )

    @property
    def beauty(self) -> Array:
        """Sum of the components: H×W×3."""
        first, *others = self.components.values()
        total: Array = first.astype(np.float32)
        for each in others:
            total += each
        return total

    @property
    def splits(self) -> bool:
        """Whether radiance came split into emission, diffuse and specular."""
        return UNSPLIT not in self.components

    def component(self, name: str) -> Array:
        """A component, H×W×3; zeros where the frame has none of that name."""
        found = self.components.get(name)
        return np.zeros((*self.shape, 3), np.float32) if found is None else found

    def sane(self) -> Frame:
        """The frame without NaN, infinities, or negative colour, `mended` counting what was replaced.

        Colour and features that were not finite are 0 and as uncertain as can be (their variance is infinite, so that
        the relative variance is 1); motion that was not finite is invalid.
        """
        mended: dict[str, int] = {}
        variance = dict(self.variance)

        def clean(name: str, values: Array | None, *, least: float | None = None) -> tuple[Array | None, Any]:
            if values is None:
                return None, None
            bad = ~np.isfinite(values)
            if least is not None:
                bad |= values < least
            if not bad.any():
                return values, None
            mended[name] = int(np.count_nonzero(bad))
            rows: NDArray[np.bool_] = np.any(bad, axis=-1) if values.ndim == 3 else bad
            return np.where(rows[..., None] if values.ndim == 3 else rows, 0, values).astype(np.float32), rows

        parts: dict[str, Any] = {}
        components: dict[str, Any] = {}
        for name, values in self.components.items():
            components[name], rows = clean(name, values, least=0.0)
            if rows is not None and name in variance:
                variance[name] = np.where(rows, np.inf, variance[name]).astype(np.float32)
        for name, least in (("albedo", 0.0), ("normal", None), ("depth", 0.0), ("alpha", 0.0), ("count", 0.0)):
            parts[name], rows = clean(name, getattr(self, name), least=least)
            if rows is not None and name in variance:
                variance[name] = np.where(rows, np.inf, variance[name]).astype(np.float32)
        for name in ("forward", "backward"):
            parts[name], rows = clean(name, getattr(self, name))
            valid, _ = clean(f"{name}_valid", getattr(self, f"{name}_valid"), least=0.0)
            if rows is not None:
                valid = np.where(rows, 0.0, 1.0 if valid is None else valid).astype(np.float32)
            parts[f"{name}_valid"] = valid
        for name, values in variance.items():
            bad = np.isnan(values) | (values < 0)
            if bad.any():
                mended[f"variance.{name}"] = int(np.count_nonzero(bad))
                variance[name] = np.where(bad, np.inf, values).astype(np.float32)
        if not mended:
            return self
        return replace(self, components=components, variance=variance, mended=mended, **parts)


Window = Mapping[int, Frame | None]
"""Frames by number; None, or no entry, where a neighbour is absent. May load each frame when it is asked for."""


def frame_of(window: Window, centre: int) -> Frame:
    """The frame to denoise.

    Raises:
        ProductError: the window has none.
    """
    frame = window.get(centre)
    if frame is None:
        raise ProductError(f"frame {centre}: there are no buffers to denoise")
    return frame
