"""Sizes of the networks."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One size.

    Attributes:
        name: as in `pipeline capture --preset`.
        widths: channels of the initialiser's levels, from half the image's resolution on, each half as large again.
        features: channels of the refiner's convolutions.
        memory: channels of the refiner's GRUs.
    """

    name: str
    widths: tuple[int, ...]
    features: int
    memory: int


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("small", (32, 64, 96, 128, 128, 128), 64, 32),
        Preset("full", (64, 128, 256, 512, 512, 512, 512), 256, 64),
        Preset("tiny", (8, 12, 16), 12, 8),
    )
}
"""`small`: trained and run on two CPU cores. `full`: the sizes of the paper's code, for a GPU. `tiny`: tests."""


def preset(name: str) -> Preset:
    """Raises ConfigError when there is none of that name."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset `{name}`", key="--preset", suggestion=" or ".join(PRESETS))
    return PRESETS[name]
