"""The review as a folder that opens without a server: the same page, with its data as scripts.

A browser lets a page that comes from a folder read no files and load no modules, but run scripts and show pictures.
So the page's own modules stand in its import map, and every answer of the server is a script that hands over a value.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.errors import ConfigError, ProductError, StoreError
from pipeline.farm.names import Frame
from pipeline.farm.products import Products
from pipeline.images import viewing
from pipeline.review import pictures
from pipeline.review.desk import Desk
from pipeline.review.layers import Layer

__all__ = ["LAYERS", "export"]

LAYERS: Final = ("beauty", "noisy", "error", "samples")
"""Layers that are taken along where nothing else is asked for: what a review looks at."""

_IMPORT: Final = re.compile(r'from "\./([a-z]+\.js)"')


def export(
    products: Products, folder: Path, *, layers: Sequence[str] = LAYERS, frames: Iterable[Frame] | None = None
) -> list[str]:
    """Writes a review of a job.

    Args:
        products: of the job.
        folder: that is made; files of an earlier review in it are replaced.
        layers: names of those that are taken along.
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
    document = document.model_copy(update={"frames": kept, "versions": [document.job]})
    left_out: list[str] = []
    try:
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        for frame in kept:
            if frame.picture:
                left_out += _write_frame(products, frame.frame, data / str(frame.frame), layers)
        _script(data, "document", document.model_dump(mode="json", by_alias=True))
        _script(data, "views", _views())
        _replace(folder / "style.css", _own("style.css").encode())
        _replace(folder / "index.html", _page().encode())
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the review: {error.strerror or error}") from error
    return left_out


def _write_frame(products: Products, frame: Frame, folder: Path, names: Sequence[str]) -> list[str]:
    """One frame's files; what is missing of them."""
    try:
        sight = pictures.look(products, frame)
        small = pictures.thumbnail(products, frame)
    except ProductError as error:
        return [f"frame {frame}: {error}"]
    folder.mkdir(exist_ok=True)
    _replace(folder / "thumbnail.jpg", small)
    taken: list[Layer] = []
    left_out: list[str] = []
    for layer in sight.layers:
        if layer.name not in names and layer.index:
            continue
        try:
            values = np.ascontiguousarray(pictures.pixels(products, frame, layer.index))
        except ProductError as error:
            left_out.append(f"frame {frame}: {error}")
            continue
        packed = base64.b64encode(zlib.compress(values.astype(values.dtype.newbyteorder("<")).tobytes(), 6)).decode()
        kind = "half" if values.dtype == np.float16 else "float"
        _script(folder, str(layer.index), {"type": kind, "shape": values.shape, "data": packed}, under=str(frame))
        if not layer.index:
            rgb = np.repeat(values[..., :1], 3, axis=-1) if values.shape[-1] < 3 else values[..., :3]
            shown = viewing.to_display(np.nan_to_num(rgb.astype(np.float32)))
            _replace(folder / "shown.png", viewing.png_bytes(shown))
        taken.append(layer)
    told = {
        "source": sight.source,
        "picture": sight.picture,
        "layers": [{k: v for k, v in vars(layer).items() if k != "part"} for layer in taken],
    }
    _script(folder, "layers", told, under=str(frame))
    return left_out


def _views() -> dict[str, Any]:
    displays = viewing.displays()
    programs = {name: {view: viewing.shader(name, view) for view in views} for name, views in displays.items()}
    return {"displays": displays, "display": viewing.DISPLAY, "view": viewing.VIEW, "programs": programs}


def _script(folder: Path, name: str, value: Any, *, under: str = "") -> None:
    """A script that hands a value over. `<` is escaped, so that no text in it ends a script or begins a comment."""
    told = json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    full = f"{under}/{name}" if under else name
    _replace(folder / f"{name}.js", f"penumbra({json.dumps(full)}, {told});\n".encode())


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
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    temporary.replace(path)
