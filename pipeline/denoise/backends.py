"""What a denoiser is to the rest of the pipeline, and how a shot's `denoise.backend` becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame, Window
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.denoise.cache import Cache

__all__ = ["DEMODULATION", "Denoised", "Denoiser", "Settings", "alpha_of", "backend"]

Array = NDArray[np.float32]

DEMODULATION = 0.00316
"""Added to the albedo before diffuse light is divided by it, and when it is multiplied back: black stays finite.
Source: Bako et al. 2017, §4.1."""


@dataclass(frozen=True)
class Denoised:
    """A denoised frame: float32, linear; none below zero.

    Attributes:
        emission, diffuse, specular: H×W×3; albedo is multiplied in; their sum is the denoised beauty. Of a frame that
            came unsplit, `specular` is the beauty and the others are 0.
        alpha: H×W, [0, 1]; 1 where the frame brought none.
    """

    emission: Array
    diffuse: Array
    specular: Array
    alpha: Array

    @staticmethod
    def unsplit(beauty: Array, alpha: Array) -> Denoised:
        """A frame whose renderer did not split radiance."""
        none = np.zeros_like(beauty)
        return Denoised(emission=none, diffuse=none, specular=beauty, alpha=alpha)

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
            window: frames by number; None, or no entry, where a neighbour is absent.
            centre: the frame to denoise.
            lambda_: scalar or H×W; how much detail is weighed against residual noise (1: neutral).

        Raises:
            ProductError: the window has no buffers of `centre`, or they lack a layer that this denoiser needs.
            DeviceError: the denoiser cannot run here.
        """
        ...


class Settings(Protocol):
    """The part of the shot's `denoise` block that chooses a denoiser."""

    @property
    def backend(self) -> str: ...
    @property
    def preset(self) -> str: ...
    @property
    def radius(self) -> int: ...


def backend(config: Settings, *, threads: int | None = None, cache: Cache | None = None) -> Denoiser:
    """The denoiser that the shot asks for, ready to use; nothing heavy is loaded before its first frame.

    Args:
        config: `denoise` of the shot.
        threads: CPU threads that it may use; None leaves it to the library.
        cache: for what a network makes of single frames, which their neighbours and every λ use again.

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
        if find_spec("torch") is None:
            raise ConfigError(
                "kpcn needs the package `torch`, which is not installed",
                key="denoise.backend",
                suggestion="pip install 'penumbra-pipeline[learn]', or use `oidn` or `none`",
            )
        from pipeline.denoise.kpcn import Kpcn

        return Kpcn(preset=config.preset, radius=config.radius, threads=threads, cache=cache)
    raise ConfigError(f"unknown denoiser `{config.backend}`", key="denoise.backend", suggestion="kpcn, oidn or none")


def alpha_of(frame: Frame) -> Array:
    """The frame's alpha, H×W; opaque where it brought none."""
    return np.ones(frame.shape, np.float32) if frame.alpha is None else frame.alpha
