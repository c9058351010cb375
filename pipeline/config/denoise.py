"""How a shot is denoised."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from pipeline.config.values import ConfigModel, Id, Integer, Lambda, PathText

__all__ = ["INTERMEDIATE_RADIUS", "TEMPORAL_RADIUS", "Denoise"]

TEMPORAL_RADIUS = {"fast": 1, "paper": 3}
"""Frames on either side that the network of a preset reads."""

INTERMEDIATE_RADIUS: Final = 1
"""Frames on either side, at most, while the rounds go on: what farther ones add to a picture that only guides samples
is not worth waiting for them."""


class Denoise(ConfigModel):
    """The denoiser, and λ, with which artists trade noise against detail."""

    backend: Literal["none", "oidn", "kpcn"] = Field(
        default="kpcn",
        description="kpcn: the kernel-predicting network; oidn: Intel Open Image Denoise (extra `oidn`); none.",
    )
    preset: Literal["fast", "paper"] = Field(
        default="fast", description="Size of the network: fast (5×5 kernels, multi-scale) or paper (21×21)."
    )
    lambda_: Lambda = Field(
        default=1.0, alias="lambda", description="1 … 10: 1 is neutral, higher keeps more detail and more noise."
    )
    lambda_map: PathText | None = Field(
        default=None,
        description="EXR with λ per pixel (channel Y, else R, else its first), or PNG (black 1, white 10); null: none.",
    )
    lambda_by_shape: dict[Id, Lambda] = Field(
        default_factory=dict,
        description="λ by the id of a shape, in place of `lambda` and `lambda_map` on its pixels.",
    )
    temporal_radius: Integer | None = Field(
        default=None,
        ge=0,
        le=8,
        description="Frames read on either side, 0 … 8; null: the preset's own (fast 1, paper 3).",
    )
    intermediate_radius: Integer | None = Field(
        default=None,
        ge=0,
        le=8,
        description="The same in rounds that only guide samples, at most temporal_radius; null: 1.",
    )

    @property
    def radius(self) -> int:
        """`temporal_radius`, or the preset's own. A backend without a temporal filter reads fewer."""
        return TEMPORAL_RADIUS[self.preset] if self.temporal_radius is None else self.temporal_radius

    @property
    def draft_radius(self) -> int:
        """`intermediate_radius`, or its default; never more than `radius`."""
        wanted = INTERMEDIATE_RADIUS if self.intermediate_radius is None else self.intermediate_radius
        return min(wanted, self.radius)
