"""`colour` in `shot.yaml`: the space that light is computed and delivered in, and those that textures come in."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from pipeline.config.values import ConfigModel

__all__ = ["FLOAT_TEXTURES", "SPACES", "TEXTURES", "Colour", "Rendering"]

Rendering = Literal["linear_srgb", "acescg"]

TEXTURES: Final = "sRGB - Texture"
FLOAT_TEXTURES: Final = "Linear Rec.709 (sRGB)"
SPACES: Final[dict[str, str]] = {"linear_srgb": FLOAT_TEXTURES, "acescg": "ACEScg"}
"""Names of the rendering spaces in OpenColorIO's built-in ACES config."""


class Colour(ConfigModel):
    """Colour spaces, by the names of OpenColorIO's built-in ACES config."""

    rendering: Rendering = Field(
        default="linear_srgb", description="Of light, and of the EXRs: linear_srgb (Rec. 709) or acescg (AP1)."
    )
    textures: str = Field(default=TEXTURES, description="Of textures of 8 and 16 bits, unless they are `raw`.")
    float_textures: str = Field(
        default=FLOAT_TEXTURES, description="Of EXR and HDR textures and environments, unless they are `raw`."
    )

    @field_validator("textures", "float_textures")
    @classmethod
    def _is_in_the_config(cls, name: str) -> str:
        if name not in (TEXTURES, FLOAT_TEXTURES):
            from pipeline.images.colour_space import check  # brings OpenColorIO

            check(name)
        return name

    @property
    def converts(self) -> bool:
        """Whether scenes are changed when they are loaded: else they are read as Mitsuba reads them."""
        return self != Colour()
