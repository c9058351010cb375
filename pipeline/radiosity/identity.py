"""Which scene a cache belongs to: hashes of what its light depends on, and of what it is made of.

Cameras, films, samplers and integrators count nothing: the cache is for all views. Nothing here imports Mitsuba.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pipeline.errors import SceneError
from pipeline.scene import animation
from pipeline.scene.blobs import resolve
from pipeline.scene.spec import SceneSpec

__all__ = ["Identity", "identity_of"]

_UNSEEN = {"sensor", "integrator", "sampler", "film", "default"}
"""Elements that no light depends on; `default` has done its work when a scene is frozen."""

_PLACE = {"transform"}
_LOOK = {"bsdf", "emitter", "texture"}
_TOLERANCE = 6  # digits of a pose that count


@dataclass(frozen=True)
class Identity:
    """What a scene is to a cache.

    Attributes:
        light: hash of all that its light depends on: an equal one means that the cache fits as it is.
        make: hash of its shapes without their places, materials and lights: an equal one means that the cache's weights
            are a good beginning.
    """

    light: str
    make: str

    def fits(self, other: Identity) -> bool:
        """Whether a cache of `other` is one of this scene."""
        return self.light == other.light

    def resembles(self, other: Identity) -> bool:
        """Whether a cache of `other` is worth beginning from."""
        return self.make == other.make


def identity_of(spec: SceneSpec, frame: int, blobs: Path) -> Identity:
    """The identity of a frame's scene.

    Raises:
        SceneError: the frozen scene is missing, or no XML.
    """
    text = resolve(blobs, spec.xml, {}).read_text(encoding="utf-8")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise SceneError(f"{spec.xml}: is no XML: {error}") from error
    for name in _UNSEEN:
        for child in root.findall(name):
            root.remove(child)
    # The centre that a pose turns about is the shape's own: it follows from the rest.
    poses = {
        name: _rounded(animation.pose(keys, frame, (0.0, 0.0, 0.0)).tolist()) for name, keys in spec.animate.items()
    }
    light = [_canonical(root), json.dumps([poses, _plain(spec.overrides)], sort_keys=True)]
    shapes = [_canonical(_bare(shape)) for shape in root.findall("shape")]
    return Identity(_hash(light), _hash(shapes))


def _bare(shape: ElementTree.Element) -> ElementTree.Element:
    """A shape without its place and look."""
    bare = ElementTree.Element(shape.tag, shape.attrib)
    for child in shape:
        named_look = child.tag == "ref" and child.get("name", "bsdf") in ("bsdf", "emitter", "")
        if child.tag in _PLACE | _LOOK or named_look:
            continue
        bare.append(_bare(child))
    return bare


def _canonical(element: ElementTree.Element) -> str:
    return ElementTree.canonicalize(ElementTree.tostring(element, encoding="unicode"), strip_text=True)


def _rounded(value: Any) -> Any:
    return [_rounded(item) for item in value] if isinstance(value, list) else round(float(value), _TOLERANCE)


def _plain(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): dict(values) if isinstance(values, Mapping) else values for name, values in overrides.items()}


def _hash(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
