"""Sizes of the network."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.denoise.network.pyramid import Upsampling
from pipeline.errors import ConfigError

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One size.

    Attributes:
        name: as in `denoise.preset`.
        kernel: width of the kernels, pixels, at every scale.
        scales: levels of the image pyramid: strides 1, 2, 4, …
        widths: of the U-Net, from its finest level; a single number: width of the residual extractor, which then runs
            at every level of the pyramid with the same weights.
        blocks: residual blocks of that extractor; 0 for the U-Net.
        stride: of the encoder: 2 where features have half the image's resolution.
        temporal_blocks: residual blocks of a comparison of two frames.
        upsampling: U of equation 5.
    """

    name: str
    kernel: int
    scales: int
    widths: tuple[int, ...]
    blocks: int
    stride: int
    temporal_blocks: int
    upsampling: Upsampling

    @property
    def unet(self) -> bool:
        """Whether features of all scales come from one U-Net, each with weights of its own."""
        return self.blocks == 0

    @property
    def multiple(self) -> int:
        """Image sizes are padded to multiples of this."""
        return self.stride if self.unet else 1


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("fast", 5, 4, (48, 64, 96, 128), 0, 2, 1, "bilinear"),
        Preset("paper", 21, 3, (64,), 12, 1, 3, "nearest"),
        Preset("tiny", 5, 3, (16, 24, 32), 0, 2, 1, "bilinear"),
    )
}
"""`fast`: two CPU cores. `paper`: residual blocks and 21×21 kernels, for a GPU. `tiny`: tests."""


def preset(name: str) -> Preset:
    """Raises ConfigError when there is none of that name."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset `{name}`", key="denoise.preset", suggestion=" or ".join(PRESETS))
    return PRESETS[name]
