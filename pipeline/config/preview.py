"""How a shot is previewed while it is being lit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.config.values import ConfigModel

__all__ = ["Preview"]


class Preview(ConfigModel):
    """The free-viewpoint preview."""

    preset: Literal["fast", "smooth", "paper"] = Field(
        default="fast",
        description="The radiance cache: fast (hash grid, ReLU), smooth (sine, trained by curvature) or paper (large).",
    )
