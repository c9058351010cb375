"""What sends samples where: the error of a frame so far, and the map that the next round follows.

    variance   relative variance of the noisy mean (the paper's baseline)
    uniform    nothing: samples are spread evenly
    error      the error of the denoised picture, as a network predicts it, and noise (`where_samples_help`)
    oracle     the error of the denoised picture against a reference: for studies

Source: Vogels et al. 2018, §5, whose guide is the predicted error alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.denoise.frame import Frame
from pipeline.images.metrics import ERROR_MAPS
from pipeline.render.allocate import BLUR, expected_error
from pipeline.render.buffers import FrameBuffers, luminance

if TYPE_CHECKING:
    from pipeline.denoise.error import ErrorEstimator

__all__ = ["Guide", "Judgement", "Noisy", "Oracle", "Predicted", "where_samples_help"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Judgement:
    """How good a frame is.

    Attributes:
        error: H×W, expected error of every pixel in the guide's metric.
        guide: H×W, non-negative: where samples help; None: everywhere alike.
    """

    error: Array
    guide: Array | None

    @property
    def mean(self) -> float:
        """Of the error."""
        return float(self.error.mean(dtype=np.float64))

    @property
    def p99(self) -> float:
        """The error's 99th percentile."""
        return float(np.percentile(self.error, 99))


class Guide(Protocol):
    """Judges a frame after each round.

    Attributes:
        looks_at_denoised: every round has to be denoised for it.
    """

    @property
    def looks_at_denoised(self) -> bool: ...

    def judge(self, number: int, frame: FrameBuffers, denoised: Array | None) -> Judgement:
        """The frame's error, and where to go on.

        Args:
            number: of the frame.
            frame: all rounds so far.
            denoised: its denoised beauty, H×W×3; None for guides that do not look at it.
        """
        ...


@dataclass(frozen=True)
class Noisy:
    """Looks at the noisy means and their variance alone.

    Attributes:
        metric: `smape` or `mrse`, of the noisy picture.
        steers: by relative variance; else samples are spread evenly.
    """

    metric: str = "smape"
    steers: bool = True
    looks_at_denoised: bool = False

    def judge(self, number: int, frame: FrameBuffers, denoised: Array | None) -> Judgement:
        """See `Guide`."""
        error = expected_error(self.metric, luminance(frame.beauty), frame.variance["beauty"])
        return Judgement(error, frame.relative_variance("beauty") if self.steers else None)


@dataclass(frozen=True)
class Predicted:
    """Asks a network for the error of the denoised picture."""

    estimator: ErrorEstimator
    metric: str = "smape"
    looks_at_denoised: bool = True

    def judge(self, number: int, frame: FrameBuffers, denoised: Array | None) -> Judgement:
        """See `Guide`."""
        assert denoised is not None
        error = self.estimator.predict(Frame.of(frame), denoised, self.metric)
        return Judgement(error, where_samples_help(error, frame.relative_variance("beauty")))


def where_samples_help(error: Array, variance: Array) -> Array:
    """√(e v): predicted error and relative variance, the geometric mean.

    The network knows where the denoiser is in trouble, and also counts trouble that samples do not mend (a texture that
    it blurs, a reprojection that fails); the variance knows where samples are noisy, and also counts noise that the
    denoiser removes. Where both agree samples are well spent.

    Args:
        error: e, H×W, not negative.
        variance: v, H×W, of the noisy mean, relative; blurred before the root, since single values are noisy.
    """
    noise = ndimage.gaussian_filter(np.nan_to_num(variance, nan=1.0, posinf=1.0), BLUR, mode="nearest")
    return np.asarray(np.sqrt(np.maximum(error, 0) * np.maximum(noise, 0)), np.float32)


@dataclass(frozen=True)
class Oracle:
    """Compares the denoised picture with a reference.

    Attributes:
        reference: of a frame, by its number and (H, W): H×W×3.
        metric: a key of `ERROR_MAPS`.
    """

    reference: Callable[[int, tuple[int, int]], NDArray[np.floating]]
    metric: str = "smape"
    looks_at_denoised: bool = True

    def judge(self, number: int, frame: FrameBuffers, denoised: Array | None) -> Judgement:
        """See `Guide`."""
        assert denoised is not None
        truth = self.reference(number, frame.shape)
        error = np.maximum(ERROR_MAPS[self.metric](denoised, truth), 0.0).astype(np.float32)
        return Judgement(error, error)
