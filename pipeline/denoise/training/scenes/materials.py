"""Materials: palettes of ten slots, each slot a BSDF plugin of a fixed make with random colours and textures.

The make of a palette's BSDFs is a part of the compiled kernel, their numbers are not. So there are few palettes, and
what is a number of the kernel in Mitsuba (indices of refraction, sizes of some maps) is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from pipeline.denoise.training.scenes import textures
from pipeline.denoise.training.scenes.files import Files
from pipeline.denoise.training.scenes.geometry import Array

__all__ = ["PALETTES", "SURFACES", "bsdf", "family", "floats", "rgb"]

PALETTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "painted": ("texture",) * 3 + ("pale", "matte", "matte") + ("coated", "plastic", "thin", "leaf"),
        "metallic": ("texture",) * 3 + ("pale", "matte") + ("bumped", "coated", "brushed", "brushed", "mirror"),
        "glazed": ("texture",) * 3 + ("pale", "matte") + ("coated", "glass", "frosted", "pane", "brushed"),
        "principled": ("texture",) * 2 + ("pale", "matte") + ("principled",) * 3 + ("thin", "glass", "pane"),
        "mixed": ("texture",) * 3 + ("pale", "embossed", "plastic", "brushed", "glass", "thin", "pane"),
    }
)
"""Name → kinds of its slots. Every palette has textures, and pale matte paint."""

_FAMILY = {
    "matte": ("matte", "pale"),
    "pale": ("pale",),
    "texture": ("texture", "bumped"),
    "gloss": ("coated", "plastic", "principled", "embossed"),
    "metal": ("brushed", "mirror"),
    "glass": ("glass", "frosted"),
    "pane": ("pane",),
    "thin": ("thin",),
    "leaf": ("leaf", "thin"),
}

SURFACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wall": ("matte", "texture"),
        "white": ("pale",),
        "wood": ("texture", "gloss"),
        "paint": ("matte", "gloss"),
        "metal": ("metal", "gloss"),
        "mirror": ("metal", "gloss"),
        "glass": ("glass", "gloss"),
        "pane": ("pane",),
        "cloth": ("texture", "matte"),
        "shade": ("thin", "matte"),
        "leaf": ("leaf", "matte"),
        "paper": ("texture",),
        "any": ("matte", "texture", "gloss", "metal", "glass"),
    }
)
"""What a thing is made of → families that serve. One is drawn of those that the palette has."""

_METALS = (  # η and κ at about 630, 530, 465 nm
    ((0.20, 0.92, 1.10), (3.91, 2.45, 2.14)),  # copper
    ((0.14, 0.37, 1.44), (3.98, 2.39, 1.60)),  # gold
    ((1.35, 0.97, 0.62), (7.47, 6.40, 5.30)),  # aluminium
    ((0.16, 0.14, 0.13), (3.93, 3.19, 2.38)),  # silver
    ((3.11, 3.18, 2.32), (3.31, 3.33, 3.14)),  # chromium
    ((2.91, 2.95, 2.58), (3.08, 2.93, 2.77)),  # iron
)


def family(name: str, palette: tuple[str, ...]) -> list[int]:
    """The slots of a palette that belong to a family."""
    return [slot for slot, kind in enumerate(palette) if kind in _FAMILY[name]]


def floats(values: Array) -> str:
    """Numbers as they stand in XML."""
    return ", ".join(f"{value:.6g}" for value in np.ravel(values))


def rgb(name: str, values: Array) -> str:
    return f'<rgb name="{name}" value="{floats(values)}"/>'


def bsdf(kind: str, name: str, rng: np.random.Generator, files: Files) -> str:
    """XML of a BSDF of a kind, with `name` as its id; its pictures go to `files`."""
    plugin, body = _KINDS[kind](rng, files)
    return f'<bsdf type="{plugin}" id="{name}">{body}</bsdf>'


def _number(name: str, value: float) -> str:
    return f'<float name="{name}" value="{value:.6g}"/>'


def _bitmap(name: str, data: bytes, files: Files, *, extension: str = "png", raw: bool = False) -> str:
    named = f' name="{name}"' if name else ""
    curve = '<boolean name="raw" value="true"/>' if raw else ""
    file = f'<string name="filename" value="{files.keep(data, extension)}"/>'
    return f'<texture type="bitmap"{named}>{file}{curve}</texture>'


def _picture(name: str, rng: np.random.Generator, files: Files) -> str:
    return _bitmap(name, textures.png(textures.picture(rng)), files)


def _inner(plugin: str, body: str) -> str:
    return f'<bsdf type="{plugin}">{body}</bsdf>'


def _roughness(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.03), np.log(0.5))))


def _matte(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    bright = rng.random() < 0.5
    value = textures.colour(rng, low=0.5) if bright else textures.colour(rng, low=0.03, high=0.6)
    return "twosided", _inner("diffuse", rgb("reflectance", value))


def _pale(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "twosided", _inner("diffuse", rgb("reflectance", 0.5 * textures.colour(rng, low=0.8, high=0.9) + 0.4))


def _texture(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "twosided", _inner("diffuse", _picture("reflectance", rng, files))


def _bumped(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    bumps = textures.pfm(textures.heights(rng, depth=rng.uniform(0.005, 0.03)))
    base = _inner("diffuse", _picture("reflectance", rng, files))
    return "twosided", _inner("bumpmap", _bitmap("", bumps, files, extension="pfm", raw=True) + base)


def _embossed(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    coat = _inner("roughplastic", _picture("diffuse_reflectance", rng, files) + _number("alpha", _roughness(rng)))
    relief = _bitmap("normalmap", textures.png(textures.normals(rng)), files, raw=True)
    return "twosided", _inner("normalmap", relief + coat)


def _coated(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    coat = _picture("diffuse_reflectance", rng, files) + _number("alpha", _roughness(rng))
    return "twosided", _inner("roughplastic", coat)


def _plastic(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "twosided", _inner("plastic", rgb("diffuse_reflectance", textures.colour(rng, low=0.02)))


def _principled(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    metallic = rng.choice([0.0, 0.0, rng.random(), 1.0])
    numbers = {
        "roughness": np.sqrt(_roughness(rng)),
        "metallic": metallic,
        "specular": rng.uniform(0.2, 0.8),
        "clearcoat": rng.choice([0.01, rng.random()]),
        "clearcoat_gloss": rng.uniform(0.3, 0.95),
        "sheen": rng.choice([0.01, rng.random()]),
    }
    body = _picture("base_color", rng, files) + "".join(_number(name, value) for name, value in numbers.items())
    return "twosided", _inner("principled", body)


def _metal(rng: np.random.Generator) -> str:
    eta, kappa = _METALS[rng.integers(len(_METALS))]
    tint = rng.uniform(0.6, 1.0, 3) if rng.random() < 0.3 else np.ones(3)
    return rgb("eta", np.array(eta)) + rgb("k", np.array(kappa)) + rgb("specular_reflectance", tint)


def _brushed(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    distribution = '<string name="distribution" value="ggx"/>'
    return "twosided", _inner("roughconductor", _metal(rng) + _number("alpha", _roughness(rng)) + distribution)


def _mirror(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "twosided", _inner("conductor", _metal(rng))


def _tint(rng: np.random.Generator) -> Array:
    return 1.0 - rng.uniform(0.0, 0.5) * (1.0 - textures.colour(rng, low=0.9, high=1.0))


def _glass(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "dielectric", rgb("specular_transmittance", _tint(rng))


def _frosted(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    shape = '<string name="distribution" value="ggx"/>' + _number("alpha", rng.uniform(0.05, 0.4))
    return "roughdielectric", shape + rgb("specular_transmittance", _tint(rng))


def _pane(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    return "thindielectric", rgb("specular_transmittance", _tint(rng))


def _thin(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    numbers = {
        "roughness": rng.uniform(0.3, 0.8),
        "diff_trans": rng.uniform(0.5, 1.6),
        "spec_trans": rng.choice([0.01, 0.3]),
        "eta": 1.4,
    }
    body = rgb("base_color", textures.colour(rng, low=0.3, high=0.95))
    return "principledthin", body + "".join(_number(name, value) for name, value in numbers.items())


def _leaf(rng: np.random.Generator, files: Files) -> tuple[str, str]:
    green = np.array([rng.uniform(0.05, 0.5), rng.uniform(0.2, 0.5), rng.uniform(0.02, 0.15)])
    inner = f'<bsdf type="twosided">{_inner("diffuse", rgb("reflectance", green))}</bsdf>'
    return "mask", _bitmap("opacity", textures.pfm(textures.leaf_mask(rng)), files, extension="pfm", raw=True) + inner


_KINDS: dict[str, Callable[[np.random.Generator, Files], tuple[str, str]]] = {
    "matte": _matte,
    "pale": _pale,
    "texture": _texture,
    "bumped": _bumped,
    "embossed": _embossed,
    "coated": _coated,
    "plastic": _plastic,
    "principled": _principled,
    "brushed": _brushed,
    "mirror": _mirror,
    "glass": _glass,
    "frosted": _frosted,
    "pane": _pane,
    "thin": _thin,
    "leaf": _leaf,
}
