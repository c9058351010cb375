"""The review as files that open without a server: the same page, with its data as scripts.

A browser lets a page that comes from a folder read no files and load no modules, but run scripts and show pictures.
So the page's own modules stand in its import map, and every answer of the server is a script that hands over a value.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.config.colour import Rendering
from pipeline.errors import ConfigError, ProductError, StoreError
from pipeline.farm.names import Frame
from pipeline.farm.products import Products
from pipeline.images import viewing
from pipeline.images.channels import BY_NAME
from pipeline.review import pictures
from pipeline.review.desk import Desk, ReviewDocument, ReviewFrame
from pipeline.review.layers import Layer, kind_of
from pipeline.review.pictures import Proxy

__all__ = ["LAYERS", "export", "files"]

LAYERS: Final = ("beauty", "noisy", "error", "samples")
"""Layers that are taken along at full precision where nothing else is asked for: what a review looks at."""

_IMPORT: Final = re.compile(r'from "\./([a-z]+\.js)"')
_ZLIB_LEVEL: Final = 1
"""Noise hardly shrinks: higher levels take their time and save little."""


def export(
    products: Products, folder: Path, *, layers: Sequence[str] = LAYERS, frames: Iterable[Frame] | None = None
) -> list[str]:
    """Writes a review of a job.

    Args:
        products: of the job.
        folder: that is made; files of an earlier review in it are replaced.
        layers: names of those that are taken along at full precision; none: proxies alone.
        frames: some of the job's; None: all.

    Returns:
        What could not be taken along, one line each.

    Raises:
        ConfigError: the job has none of the frames.
        StoreError: the folder cannot be written.
    """
    document = Desk(products.store, products.job).document()
    wanted = None if frames is None else set(frames)
    kept = [frame for frame in document.frames if wanted is None or frame.frame in wanted]
    if not kept:
        raise ConfigError(f"{products.job.id} has none of these frames", key="frames")
    left_out: list[str] = []
    try:
        for name, data in files(
            products, document.model_copy(update={"frames": kept}), layers=layers, tell=left_out.append
        ):
            _replace(folder / name, data)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the review: {error.strerror or error}") from error
    return left_out


def files(
    products: Products, document: ReviewDocument, *, layers: Sequence[str], tell: Callable[[str], object]
) -> Iterator[tuple[str, bytes]]:
    """The files of a review, by their names in its folder; the page itself last.

    Args:
        products: of the job.
        document: with the frames that are wanted.
        layers: names of those that are taken along at full precision, beside all proxies.
        tell: is called with what could not be taken along, one line each.

    Without layers there are two files a frame: its thumbnail, and a script with all else, since a bucket takes its time
    for each.
    """
    for frame in document.frames:
        if frame.picture:
            yield from _frame(products, frame, layers, tell)
    document = document.model_copy(update={"versions": [document.job]})
    yield _script("document", document.model_dump(mode="json", by_alias=True))
    yield _script("views", _views(document.space))
    yield "style.css", _own("style.css").encode()
    yield "index.html", _page().encode()


def _frame(
    products: Products, told_of: ReviewFrame, names: Sequence[str], tell: Callable[[str], object]
) -> Iterator[tuple[str, bytes]]:
    frame = told_of.frame
    try:
        small = pictures.proxies(products, frame)
        if names or not small:
            seen = pictures.look(products, frame).layers
            layers = [each for each in seen if each.name in {*names, *small}] or list(seen[:1])
        else:  # nothing is read of the EXR
            layers = _of_proxies(small)
        yield f"data/{frame}/thumbnail.jpg", pictures.thumbnail(products, frame)
    except ProductError as error:
        tell(f"frame {frame}: {error}")
        return
    told: list[dict[str, Any]] = []
    proxies = {}
    for layer in layers:
        made, whole = small.get(layer.name), layer.name in names or layer.name not in small
        if made is not None:
            proxies[layer.name] = {**_packed(made.pixels), "frame": [made.width, made.height, made.step]}
        if whole:
            try:
                values = pictures.pixels(products, frame, layer.index)
            except ProductError as error:
                tell(f"frame {frame}: {error}")
                continue
            yield _script(f"{frame}/{layer.index}", _packed(values))
            if not told:
                shown = viewing.to_display(pictures.seen(values), space=pictures.space_of(products.job))
                yield f"data/{frame}/shown.png", viewing.png_bytes(shown)
        told.append({**{key: value for key, value in vars(layer).items() if key != "part"}, "whole": whole})
    yield _script(f"{frame}/layers", {"picture": told_of.picture, "layers": told, "proxies": proxies})


def _of_proxies(small: Mapping[str, Proxy]) -> list[Layer]:
    layers = []
    for index, (name, made) in enumerate(small.items()):
        channels = BY_NAME[name].channels
        half = BY_NAME[name].pixel == "half"
        layers.append(Layer(index, name, channels, kind_of(channels), half, made.width, made.height, index))
    return layers


def _packed(values: NDArray[Any]) -> dict[str, Any]:
    """Pixels for a script."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(little.tobytes(), _ZLIB_LEVEL)).decode()
    return {"type": "half" if values.dtype == np.float16 else "float", "shape": values.shape, "data": data}


@lru_cache(maxsize=2)
def _views(space: Rendering) -> dict[str, Any]:
    displays = viewing.displays()
    programs = {name: {view: viewing.shader(name, view, space) for view in views} for name, views in displays.items()}
    return {"displays": displays, "display": viewing.DISPLAY, "view": viewing.VIEW, "programs": programs}


def _script(name: str, value: Any) -> tuple[str, bytes]:
    """A script that hands a value over. `<` is escaped, so that no text in it ends a script or begins a comment."""
    told = json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return f"data/{name}.js", f"penumbra({json.dumps(name)}, {told});\n".encode()


@lru_cache(maxsize=1)
def _page() -> str:
    """The page with its modules in an import map."""
    folder = resources.files("pipeline.review") / "page"
    imports = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".js"):
            text = _IMPORT.sub(r'from "review/\1"', file.read_text(encoding="utf-8"))
            packed = base64.b64encode(text.encode()).decode()
            imports[f"review/{file.name}"] = f"data:text/javascript;base64,{packed}"
    head = (
        '<meta name="review-source" content="folder">\n'
        f'  <script type="importmap">{json.dumps({"imports": imports})}</script>\n'
        '  <script type="module">import "review/main.js";</script>'
    )
    return _own("index.html").replace('<script type="module" src="main.js"></script>', head)


def _own(name: str) -> str:
    return (resources.files("pipeline.review") / "page" / name).read_text(encoding="utf-8")


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    temporary.replace(path)
