"""Layers that a shot asks for: groups of lights, mattes and AOVs, made of a frame's moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.layers import OTHERS, Layers
from pipeline.denoise.light_shares import split_by_light
from pipeline.images import cryptomatte
from pipeline.images.channels import Layer
from pipeline.images.deliverable import Extra
from pipeline.render.buffers import FrameBuffers
from pipeline.render.moments import Moments, aov_means, light_means

__all__ = ["extra_layers"]


def extra_layers(
    wanted: Layers,
    moments: Moments,
    facts: Mapping[str, Any],
    frame: FrameBuffers,
    beauty: NDArray[np.float32],
    *,
    denoised: bool,
) -> Iterator[Extra]:
    """The layers in file order: lights, AOVs, mattes.

    Args:
        wanted: `layers` of the shot.
        moments: of the frame, all rounds.
        facts: of its sums: names of AOVs and mattes.
        frame: the same moments as means.
        beauty: H×W×3, as delivered.
        denoised: whether `beauty` was denoised.

    Raises:
        ProductError: the passes did not record what is wanted.
    """
    if wanted.lights:
        split = split_by_light(light_means(moments), frame, beauty, smooth=denoised)
        for index, group in enumerate((*wanted.lights, OTHERS)):
            name = f"light.{group}"
            yield Extra(Layer(name, tuple(f"{name}.{axis}" for axis in "RGB"), "half", ""), split[:, :, index])
    if wanted.aovs:
        means, names = aov_means(moments), list(facts["aovs"])
        for kind, members in groupby(range(len(names)), key=lambda index: names[index].rpartition(".")[0]):
            places = list(members)
            channels = tuple(f"aov.{names[place]}" for place in places)
            yield Extra(Layer(f"aov.{kind}", channels, "float", ""), means[..., places])
    for kind in wanted.cryptomatte:
        layer, names = f"Crypto{kind.capitalize()}", facts["mattes"][kind]
        assert moments.votes is not None
        values = cryptomatte.matte(moments.votes, names).reshape(moments.height, moments.width, -1)
        channels = cryptomatte.channel_names(layer)
        yield Extra(Layer(layer, channels, "float", ""), values, cryptomatte.metadata(layer, names))
