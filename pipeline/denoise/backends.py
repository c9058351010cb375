"""What a denoiser is to the rest of the pipeline, and how a shot's `denoise.backend` becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, ProductError
from pipeline.render.buffers import FrameBuffers

__all__ = ["DEMODULATION", "Denoised", "Denoiser", "Settings", "backend", "frame_of"]

Array = NDArray[np.float32]
Window = Mapping[int, FrameBuffers | None]

DEMODULATION = 0.00316
"""Added to the albedo before diffuse light is divided by it, and when it is multiplied back: black stays finite.
Source: Bako et al. 2017, §4.1."""


@dataclass(frozen=True)
class Denoised:
    """A denoised frame: float32, linear; none below zero.

    Attributes:
        emission, diffuse, specular: H×W×3; albedo is multiplied in; their sum is the denoised beauty.
        alpha: H×W, [0, 1].
    """

    emission: Array
    diffuse: Array
    specular: Array
    alpha: Array

    @property
    def beauty(self) -> Array:
        """H×W×3."""
        return self.emission + self.diffuse + self.specular


class Denoiser(Protocol):
    """One frame out of a window of frames.

    Attributes:
        name: as in `denoise.backend`.
        radius: frames on either side that it reads.
    """

    name: str
    radius: int

    def denoise(self, window: Window, centre: int, lambda_: Array | float) -> Denoised:
        """The frame `centre`.

        Args:
            window: buffers by frame number; None, or no entry, where a neighbour is absent.
            centre: the frame to denoise.
            lambda_: scalar or H×W; how much detail is weighed against residual noise (1: neutral).

        Raises:
            ProductError: the window has no buffers of `centre`.
            DeviceError: the denoiser cannot run here.
        """
        ...


class Settings(Protocol):
    """The part of the shot's `denoise` block that chooses a denoiser."""

    @property
    def backend(self) -> str: ...
    @property
    def preset(self) -> str: ...


def backend(config: Settings, *, threads: int | None = None) -> Denoiser:
    """The denoiser that the shot asks for, ready to use; nothing heavy is loaded before its first frame.

    Args:
        config: `denoise` of the shot.
        threads: CPU threads that it may use; None leaves it to the library.

    Raises:
        ConfigError: the backend is unknown, or needs a package or weights that are not there.
    """
    if config.backend == "none":
        from pipeline.denoise.passthrough import Passthrough

        return Passthrough()
    if config.backend == "oidn":
        from pipeline.denoise.oidn import Oidn

        return Oidn(preset=config.preset, threads=threads)
    if config.backend == "kpcn":
        raise ConfigError(
            "there are no weights for the kernel-predicting network yet",
            key="denoise.backend",
            suggestion="use `oidn` or `none`",
        )
    raise ConfigError(f"unknown denoiser `{config.backend}`", key="denoise.backend", suggestion="kpcn, oidn or none")


def frame_of(window: Window, centre: int) -> FrameBuffers:
    """The buffers of the frame to denoise.

    Raises:
        ProductError: the window has none.
    """
    frame = window.get(centre)
    if frame is None:
        raise ProductError(f"frame {centre}: there are no buffers to denoise")
    return frame
