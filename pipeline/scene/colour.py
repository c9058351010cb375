"""Colours of a parsed scene put into the shot's rendering space: its rgb values, textures and environments.

Values in the scene's file are linear sRGB; what files hold is said by the shot. Constants of metals (`eta`, `k`),
coefficients of media and `raw` textures are no colours. Not converted: vertex colours, skies that a plugin computes,
metals by name. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import mitsuba as mi
import numpy as np

from pipeline.config.colour import FLOAT_TEXTURES, SPACES, Colour
from pipeline.images.colour_space import convert
from pipeline.scene import nodes

__all__ = ["convert_colours"]

_NO_COLOURS: Final = frozenset({"eta", "k", "int_ior", "ext_ior", "sigma_t", "sigma_a", "sigma_s", "scale"})
_IMAGES: Final = ("bitmap", "envmap")


def convert_colours(state: nodes.State, colour: Colour) -> None:
    """Changes the scene in place; nothing where it is rendered as Mitsuba reads it.

    Args:
        state: parsed; file names must be paths by now, and neural maps decoded.
        colour: of the shot.
    """
    if not colour.converts:
        return
    target = SPACES[colour.rendering]
    for index in range(len(state.nodes)):
        props = state.nodes[index].props
        for name in list(props.keys()):
            if props.type(name) == mi.Properties.Type.Color and name not in _NO_COLOURS:
                props[name] = mi.ScalarColor3d(*_converted(np.array(props[name], np.float64), target))
        if props.plugin_name() in _IMAGES and not props.get("raw", False):
            _convert_image(props, colour, target)


def _converted(rgb: np.ndarray, target: str) -> np.ndarray:
    """Reflectances stay within [0, 1], rounding too: Mitsuba refuses others."""
    found = convert(rgb, FLOAT_TEXTURES, target).astype(np.float64)
    return found.clip(0.0, 1.0) if rgb.max() <= 1.0 else found


def _convert_image(props: Any, colour: Colour, target: str) -> None:
    if "filename" in props:
        bitmap = mi.Bitmap(str(Path(props["filename"])))
    elif "bitmap" in props:
        bitmap = props["bitmap"]
    else:
        return
    if bitmap.pixel_format() not in (mi.Bitmap.PixelFormat.RGB, mi.Bitmap.PixelFormat.RGBA):
        return  # one channel: a weight, not a colour
    pixels = np.array(bitmap)
    if pixels.dtype.kind == "u":
        source, values = colour.textures, pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    else:
        source, values = colour.float_textures, pixels.astype(np.float32)
    values[..., :3] = convert(values[..., :3], source, target)
    made = mi.Bitmap(np.ascontiguousarray(values))
    made.set_srgb_gamma(False)
    if "filename" in props:
        del props["filename"]
    props["bitmap"] = made
    if props.plugin_name() == "bitmap":
        props["raw"] = True
