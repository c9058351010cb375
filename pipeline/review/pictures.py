"""The pictures of a frame: layers of its deliverable, or of its newest round while it is still being rendered.

Proxies come from the manifest, which decodes nothing. Layers at full precision are kept on this machine's disk at the
size that they were asked for, so that looking at one a second time decodes nothing either.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.colour import Colour, Rendering
from pipeline.denoise.cache import Cache
from pipeline.device import cache_directory
from pipeline.errors import ProductError
from pipeline.farm import names
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.products import Products
from pipeline.farm.round_maps import RoundMaps, newest_round
from pipeline.images import viewing
from pipeline.images.proxy import proxy_step
from pipeline.review import layers as exr
from pipeline.review.layers import Layer

__all__ = ["Proxy", "Sight", "kept_pictures", "look", "pixels", "proxies", "seen", "space_of", "thumbnail"]

KEPT_BYTES: Final = 2 * 2**30
THUMBNAIL: Final = 320
"""Width of the contact sheet's pictures, pixels."""


@dataclass(frozen=True)
class Sight:
    """What there is to see of a frame.

    Attributes:
        source: `deliverable`, or `round 2` of one that is not done.
        picture: tells it from others of the frame.
        layers: what can be shown.
    """

    source: str
    picture: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Proxy:
    """A layer of a done frame as it was made with it, smaller.

    Attributes:
        pixels: H'×W'×C, float16 or float32.
        width, height: of the frame.
        step: pixels of the frame to either side of one of the proxy; what is left at the right and below has none.
    """

    pixels: NDArray[Any]
    width: int
    height: int
    step: int


def kept_pictures() -> Cache:
    """Pictures of this machine's reviews, in the user's cache directory."""
    return Cache(cache_directory() / "review", KEPT_BYTES)


def look(products: Products, frame: Frame) -> Sight:
    """What there is to see of a frame now.

    Raises:
        ProductError: nothing yet, or what is there is damaged.
    """
    if (facts := _manifest(products, frame)) is not None:
        found = exr.layers(_file(products, facts["exr"]))
        return Sight("deliverable", str(facts["exr_blake2b"])[:16], tuple(found))
    r = _last_round(products, frame)
    height, width = products.read(names.samples(frame, r)).arrays["map"].shape
    judged = products.exists(names.error(frame, r))
    found = [
        Layer(0, "beauty", ("R", "G", "B"), "colour", True, width, height, 0),
        Layer(1, "samples", ("samples.Y",), "scalar", False, width, height, 0),
    ]
    if judged:
        found.append(Layer(2, "error", ("error.Y",), "scalar", False, width, height, 0))
    return Sight(f"round {r}", f"r{r:02d}", tuple(found))


def pixels(products: Products, frame: Frame, index: int, *, step: int = 1, kept: Cache | None = None) -> NDArray[Any]:
    """Pixels of a layer: H×W×C, float16 where that holds them exactly, else float32; of one `step`-th of the size.

    Raises:
        ProductError: there is no such layer, or it cannot be decoded.
    """
    sight = look(products, frame)
    if not 0 <= index < len(sight.layers):
        raise ProductError(f"frame {frame} has no layer {index}")
    layer = sight.layers[index]
    key = f"{products.job.hash[:24]}-{frame}-{sight.picture}-{index}-{step}"
    if kept is not None and (found := kept.get(key)) is not None:
        return found["pixels"]
    if sight.source == "deliverable":
        facts = _manifest(products, frame)
        assert facts is not None
        whole = exr.pixels(_file(products, facts["exr"]), layer)
    else:
        whole = _of_round(newest_round(products, frame), index)
    small = exr.shrunk(whole, step, layer.kind)
    if kept is not None:
        kept.put(key, {"pixels": small})
    return small


def proxies(products: Products, frame: Frame) -> dict[str, Proxy]:
    """The proxies of a frame by the names of `images.proxy.LAYERS`; none of frames that are not done.

    Raises:
        ProductError: the manifest is damaged.
    """
    if _manifest(products, frame) is None:
        return {}
    made = products.read(names.frame_product(frame))
    if not made.arrays:
        return {}
    width, height = made.facts["size"]
    step = proxy_step(width, height)
    return {name: Proxy(values, width, height, step) for name, values in made.arrays.items()}


def thumbnail(products: Products, frame: Frame) -> bytes:
    """A small JPEG of the frame as the display shows it: of its proxy, or of its newest round.

    Raises:
        ProductError: there is nothing to see yet.
    """
    made = proxies(products, frame).get("beauty")
    beauty = pixels(products, frame, 0) if made is None else made.pixels
    small = exr.shrunk(seen(beauty), max(1, beauty.shape[1] // THUMBNAIL), "colour")
    picture = Image.fromarray(viewing.to_display(small, space=space_of(products.job)))
    if picture.width > THUMBNAIL:
        picture = picture.resize((THUMBNAIL, max(1, picture.height * THUMBNAIL // picture.width)), Image.Resampling.BOX)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def seen(values: NDArray[Any]) -> NDArray[np.float32]:
    """What is looked at of a layer: H×W×3, finite; a single channel as grey."""
    rgb = np.repeat(values[..., :1], 3, axis=-1) if values.shape[-1] < 3 else values[..., :3]
    return np.nan_to_num(rgb.astype(np.float32))


def space_of(job: Job) -> Rendering:
    """The rendering space of a job's pictures."""
    return Colour.model_validate(job.config.get("colour") or {}).rendering


def _manifest(products: Products, frame: Frame) -> Mapping[str, Any] | None:
    name = names.frame_product(frame)
    if not products.exists(name):
        return None
    facts = products.facts(name)
    return facts if facts.get("exr") else None


def _file(products: Products, file: str) -> bytes | memoryview:
    """A file beside the products; mapped where it is a local one, so that a layer costs its own bytes."""
    name = products.name(file)
    try:
        path = products.store.path(name)
        return products.store.read(name) if path is None else np.memmap(path, np.uint8, "r").data
    except FileNotFoundError:
        raise ProductError(f"{file} is missing") from None
    except (OSError, ValueError) as error:
        raise ProductError(f"{file} cannot be read: {error}") from error


def _last_round(products: Products, frame: Frame) -> int:
    r = -1
    while products.exists(names.buffers(frame, r + 1)):
        r += 1
    if r < 0:
        raise ProductError(f"frame {frame} has no picture yet")
    return r


def _of_round(one: RoundMaps, index: int) -> NDArray[Any]:
    if index == 0:
        return np.clip(one.picture, 0, 65504).astype(np.float16)
    plane = one.spent if index == 1 else one.error
    if plane is None:
        raise ProductError("the round was not judged")
    return np.ascontiguousarray(plane[..., None], np.float32)
