"""A mapping met with the channels of a file: the `Frame` that they make, and the channels that a denoised one makes.

Layers of a file become a frame of one of these sources (`network/sources.py`), the first whose layers are there:

    split     diffuse apart from the rest, albedo, normal
    unsplit   beauty with its variance, albedo, normal
    features  beauty, albedo, normal
    colour    beauty

In a split frame `diffuse` and `emission` are what the file says, and `specular` is all that is left of the beauty:
lobes that only this renderer knows (transmission, volumes, hair) are denoised with it, and the parts sum to the beauty.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.backends import Denoised
from pipeline.denoise.frame import UNSPLIT, Frame
from pipeline.denoise.oidn import share_out
from pipeline.denoise.sequence.mapping import ChannelMapping, Recipe, channels
from pipeline.errors import AssetError
from pipeline.render.buffers import COMPONENTS, luminance

__all__ = ["NOISY", "Ingredients", "Layout", "frame_from", "outputs", "recognises", "resolve"]

Array = NDArray[np.float32]

NOISY = "noisy."
"""Set before the name of a channel that is kept as it was beside the denoised one."""

_OPTIONAL = ("albedo", "normal", "depth", "alpha", "forward", "backward", "forward_valid", "backward_valid", "count")
_VARIANCES = {"beauty_variance": "beauty", "albedo_variance": "albedo", "normal_variance": "normal"}

_ROUNDING = 2e-3  # of the beauty: four channels in half precision, each rounded to 2⁻¹¹


@dataclass(frozen=True)
class Ingredients:
    """A recipe in channels of one file."""

    terms: tuple[tuple[str, ...], ...]
    factor: tuple[str, ...] | None
    scale: tuple[float, ...]

    @property
    def channels(self) -> set[str]:
        return {name for names in (*self.terms, self.factor or ()) for name in names}

    @property
    def verbatim(self) -> tuple[str, ...] | None:
        """The channels, where the layer is these channels as they are."""
        plain = len(self.terms) == 1 and self.factor is None and self.scale == (1.0,)
        return self.terms[0] if plain else None

    def mixed(self, stored: Mapping[str, NDArray[np.generic]]) -> Array:
        """H×W×C float32; H×W where it has one channel."""

        def stacked(names: tuple[str, ...]) -> Array:
            return np.stack([np.asarray(stored[name], np.float32) for name in names], axis=-1)

        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is mended, and counted, by `Frame.sane`
            total = sum((stacked(names) for names in self.terms[1:]), stacked(self.terms[0]))
            if self.factor is not None:
                total = total * stacked(self.factor)
            if self.scale != (1.0,):
                total = total * np.array(self.scale, np.float32)
        return total[..., 0] if total.shape[-1] == 1 else total


@dataclass(frozen=True)
class Layout:
    """Which channels of a file are read and which are written.

    Attributes:
        mapping: name of the mapping.
        source: of the frames that come of it.
        read: ingredients by layer.
        write: channels by layer: beauty, alpha, the components, `lambda`.
        keeps_noisy: whether what is overwritten is noisy, and stays in the file under `noisy.`.
    """

    mapping: str
    source: str
    read: Mapping[str, Ingredients]
    write: Mapping[str, tuple[str, ...]]
    keeps_noisy: bool

    @property
    def channels(self) -> set[str]:
        """Every channel that is read or written."""
        read = {name for ingredients in self.read.values() for name in ingredients.channels}
        return read.union(*self.write.values())


def recognises(mapping: ChannelMapping, names: Collection[str]) -> bool:
    """Whether the channels `names` are those of a file that this mapping is for."""
    patterns = [re.compile(re.escape(text).replace(r"\*", ".+")) for text in mapping.recognise]
    return any(pattern.fullmatch(name) for pattern in patterns for name in names)


def resolve(name: str, mapping: ChannelMapping, names: Collection[str]) -> Layout:
    """The layers that the mapping finds in a file.

    Args:
        name: of the mapping.
        names: all channels of the file, in its order.

    Raises:
        AssetError: there is no beauty, or no channel to write it to, or the file was denoised before; the file is the
            caller's to name.
    """
    there = set(names)
    layers = mapping.read.layers()
    tried = [(prefix, _found(layers, prefix, there)) for prefix in _prefixes(mapping, names)]
    prefix, read = max(tried, key=lambda pair: ("beauty" in pair[1], len(pair[1])))
    if "beauty" not in read:
        wanted = " or ".join(recipe.patterns[0] for recipe in mapping.read.beauty)
        raise AssetError(f"has no colour: mapping {name} looks for {wanted}")
    source = _source(read)
    write = _written(mapping, prefix, read, split=source == "split")
    absent = sorted({channel for names in write.values() for channel in names} - there)
    if absent:
        raise AssetError(f"lacks {', '.join(absent)}, which mapping {name} writes")
    keeps_noisy = write["beauty"] == read["beauty"].verbatim
    kept = sorted(there & {NOISY + channel for names in write.values() for channel in names}) if keeps_noisy else []
    if kept:
        raise AssetError(f"holds {kept[0]} already: it was denoised before")
    return Layout(name, source, read, write, keeps_noisy)


def frame_from(layout: Layout, stored: Mapping[str, NDArray[np.generic]]) -> Frame:
    """The frame in a file, as it stands there (not yet `sane`).

    Args:
        stored: H×W channels by name; at least those that the layout reads.
    """
    layers = {name: ingredients.mixed(stored) for name, ingredients in layout.read.items()}
    optional: dict[str, Any] = {name: layers[name] for name in _OPTIONAL if name in layers}
    variance = {
        of: _luminance_variance(layers[name]) if of == "beauty" else _mean_variance(layers[name])
        for name, of in _VARIANCES.items()
        if name in layers
    }
    components = _split(layers) if layout.source == "split" else {UNSPLIT: layers["beauty"]}
    return Frame(
        components=components,
        variance=variance,
        source=layout.source,
        **optional,
    )


def outputs(
    layout: Layout, frame: Frame, denoised: Denoised, stored: Mapping[str, NDArray[np.generic]], lambda_: Array | float
) -> dict[str, Array]:
    """What the channels that are written hold afterwards: H×W float32 by name, not contiguous.

    Components that a file holds although its frame came unsplit share the denoised beauty out as they shared the old.
    """
    layers: dict[str, Array] = {"beauty": denoised.beauty, "alpha": denoised.alpha[..., None]}
    layers["lambda"] = np.broadcast_to(np.asarray(lambda_, np.float32), frame.shape)[..., None]
    if frame.splits:
        layers |= {name: getattr(denoised, name) for name in COMPONENTS}
        if "specular" in layout.write:
            layers["specular"] = denoised.specular * _specular_share(frame, _stacked(stored, layout.write["specular"]))
    elif "diffuse" in layout.write:
        layers |= share_out(
            layers["beauty"], {name: np.maximum(_stacked(stored, layout.write[name]), 0.0) for name in COMPONENTS}
        )
    return {
        channel: layers[name][..., axis] for name, names in layout.write.items() for axis, channel in enumerate(names)
    }


def _prefixes(mapping: ChannelMapping, names: Collection[str]) -> list[str | None]:
    """What `*` may stand for: whatever stands there in a channel of the beauty. None: nothing, starred names apart."""
    found: list[str | None] = [None]
    for recipe in mapping.read.beauty:
        first = channels(recipe.sum[0])[0]
        if "*" in first:
            pattern = re.compile(re.escape(first).replace(r"\*", "(.+)", 1))
            found.extend(match[1] for name in names if (match := pattern.fullmatch(name)))
    return list(dict.fromkeys(found))


def _found(layers: Mapping[str, list[Recipe]], prefix: str | None, there: set[str]) -> dict[str, Ingredients]:
    """The first alternative of each layer all of whose channels are there."""
    found: dict[str, Ingredients] = {}
    for name, recipes in layers.items():
        usable = (recipe for recipe in recipes if prefix is not None or not any("*" in p for p in recipe.patterns))
        for ingredients in (_ingredients(recipe, prefix) for recipe in usable):
            if ingredients.channels <= there:
                found[name] = ingredients
                break
    return found


def _ingredients(recipe: Recipe, prefix: str | None) -> Ingredients:
    return Ingredients(
        terms=tuple(_named(pattern, prefix) for pattern in recipe.sum),
        factor=None if recipe.times is None else _named(recipe.times, prefix),
        scale=tuple(recipe.scale or (1.0,)),
    )


def _named(pattern: str, prefix: str | None) -> tuple[str, ...]:
    return channels(pattern if prefix is None else pattern.replace("*", prefix, 1))


def _source(read: Collection[str]) -> str:
    if "albedo" not in read or "normal" not in read:
        return "colour"
    if "diffuse" in read:
        return "split"
    return "unsplit" if "beauty_variance" in read else "features"


def _written(
    mapping: ChannelMapping, prefix: str | None, read: Mapping[str, Ingredients], *, split: bool
) -> dict[str, tuple[str, ...]]:
    """Channels by layer: those that the mapping says, else those that the layer was read from, if they are it alone."""
    asked = mapping.write.model_dump(by_alias=True, exclude_none=True)
    written = {name: _named(pattern, prefix) for name, pattern in asked.items()}
    for name in ("beauty", "alpha", *(COMPONENTS if split else ())):
        verbatim = read[name].verbatim if name in read else None
        if name not in written and verbatim is not None:
            written[name] = verbatim
    return written


def _split(layers: Mapping[str, Array]) -> dict[str, Array]:
    """Diffuse, emission, and the rest of the beauty; none below zero where the beauty is not."""
    beauty = layers["beauty"]
    with np.errstate(invalid="ignore"):
        diffuse = np.minimum(layers["diffuse"], beauty)
        emission = np.minimum(layers.get("emission", np.zeros_like(beauty)), beauty - diffuse)
        return {"emission": emission, "diffuse": diffuse, "specular": beauty - diffuse - emission}


def _specular_share(frame: Frame, stored: Array) -> Array:
    """Share of the frame's specular component that is the file's specular layer: 1 but where other lobes ride on it."""
    whole = frame.components["specular"]
    same = np.abs(stored - whole) <= _ROUNDING * frame.beauty
    return np.where(same, 1.0, np.clip(stored / np.where(whole > 0, whole, 1.0), 0.0, 1.0)).astype(np.float32)


def _stacked(stored: Mapping[str, NDArray[np.generic]], names: tuple[str, ...]) -> Array:
    return np.stack([np.nan_to_num(np.asarray(stored[n], np.float32), posinf=0.0, neginf=0.0) for n in names], axis=-1)


def _luminance_variance(variance: Array) -> Array:
    """Of the luminance, from one variance a channel: noise moves the channels together. H×W as it is."""
    if variance.ndim == 2:
        return variance
    with np.errstate(invalid="ignore"):
        spread: Array = luminance(np.sqrt(variance)) ** 2
    return spread


def _mean_variance(variance: Array) -> Array:
    """Mean over the axes; H×W as it is."""
    return variance if variance.ndim == 2 else variance.mean(axis=-1)
