"""Where else frames are put than in their version's own directory."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.template import Template
from pipeline.config.values import ConfigModel

__all__ = ["Output"]

_ENDINGS = {"frames": ".exr", "review": ".png"}


class Output(ConfigModel):
    """Names under which finished frames are found, below the store. None of them changes a pixel."""

    frames: Template | None = Field(
        default=None,
        description="Each frame's EXR, {show}/{shot}/v{version:03}/{shot}.{frame:04}.exr; null: in the version alone.",
    )
    review: Template | None = Field(default=None, description="The same of its viewing PNG.")

    @field_validator("frames", "review")
    @classmethod
    def _has_the_right_ending(cls, template: str | None, info: ValidationInfo) -> str | None:
        ending = _ENDINGS[info.field_name or "frames"]
        if template is not None and not template.endswith(ending):
            raise ValueError(f"must end in {ending}, not {template!r:.80}")
        return template

    slate: bool = Field(default=False, description="Begin the review movie with a second of the version's facts.")
    burn_in: bool = Field(default=False, description="Put shot, version and frame number into the review movie.")

    def templates(self) -> Iterator[tuple[str, str]]:
        """(key, template) of those that are set."""
        for key in _ENDINGS:
            if (template := getattr(self, key)) is not None:
                yield key, template
