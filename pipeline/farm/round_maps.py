"""What a frame's rounds looked like: denoised picture, error, and samples of each, from the products of a job."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import ConfigError, StoreError
from pipeline.farm import names
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.products import Products
from pipeline.images.false_colour import BAR_HEIGHT, Scale, bar, colours
from pipeline.images.viewing import png_bytes, to_display
from pipeline.render.moments import Moments, combine

__all__ = ["RoundMaps", "exr_bytes", "newest_round", "panel", "round_maps", "write"]

TITLE_HEIGHT = 22
LEAST_WIDTH = 240
"""Pixels; smaller frames are enlarged, each pixel to a square."""


@dataclass(frozen=True)
class RoundMaps:
    """A frame after a round.

    Attributes:
        number: of the round.
        picture: H×W×3, linear: denoised, where it was; else the noisy mean.
        denoised: whether it was.
        error: H×W, in the job's metric; None where it was not judged.
        samples: H×W, of this round.
        spent: H×W, so far.
    """

    number: int
    picture: NDArray[np.float32]
    denoised: bool
    error: NDArray[np.float32] | None
    samples: NDArray[np.uint32]
    spent: NDArray[np.uint32]


def round_maps(products: Products, frame: Frame) -> Iterator[RoundMaps]:
    """The rounds of a frame that have ended, from the first on.

    Raises:
        ProductError: a product is damaged, or was removed meanwhile.
    """
    r = 0
    while products.exists(names.buffers(frame, r)):
        yield _round(products, frame, r)
        r += 1


def newest_round(products: Products, frame: Frame) -> RoundMaps:
    """The last round of a frame that has ended.

    Raises:
        ProductError: none has, or a product is damaged.
    """
    r = 0
    while products.exists(names.buffers(frame, r + 1)):
        r += 1
    return _round(products, frame, r)


def _round(products: Products, frame: Frame, r: int) -> RoundMaps:
    taken = products.read(names.samples(frame, r)).arrays
    pictures = [name for name in (names.denoised(frame, r), names.draft(frame, r)) if products.exists(name)]
    if pictures:
        clean = products.read(pictures[0]).arrays
        picture = clean["emission"] + clean["diffuse"] + clean["specular"]
    else:
        sums = products.read(names.buffers(frame, r)).arrays
        picture = combine(Moments.from_arrays(sums), products.job.config["sampling"]["combination"]).beauty
    judged = names.error(frame, r)
    error = products.read(judged).arrays["error"] if products.exists(judged) else None
    return RoundMaps(r, picture, bool(pictures), error, taken["map"], taken["start"] + taken["map"])


def write(job: Job, products: Products, frame: Frame, folder: Path) -> list[Path]:
    """Writes a PNG and an EXR of each round of a frame.

    Raises:
        ConfigError: the frame has no round yet.
        StoreError: the folder cannot be written.
    """
    rounds = list(round_maps(products, frame))
    if not rounds:
        raise ConfigError(
            f"{job.id} has no round of frame {frame} yet", key="frame", suggestion=f"pipeline status {job.id}"
        )
    metric = str(job.config["sampling"]["metric"])
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in rounds:
            stem = f"{job.shot}.{names.frame_text(frame)}.r{one.number:02d}"
            for suffix, data in ((".png", png_bytes(panel(one, metric, rounds))), (".exr", exr_bytes(one))):
                path = folder / (stem + suffix)
                temporary = path.with_suffix(path.suffix + ".part")
                temporary.write_bytes(data)
                temporary.replace(path)
                written.append(path)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write maps: {error.strerror or error}") from error
    return written


def panel(one: RoundMaps, metric: str, rounds: list[RoundMaps]) -> NDArray[np.uint8]:
    """Picture, error and samples side by side with their scales, which are the same for all rounds of a frame."""
    errors = [each.error for each in rounds if each.error is not None]
    most = max((float(np.percentile(error, 99.5)) for error in errors), default=1.0)
    spent = [each.spent for each in rounds]
    counted = Scale(max(1.0, float(min(s.min() for s in spent))), float(max(s.max() for s in spent)), logarithmic=True)
    tiles = [_tile(to_display(one.picture), "denoised" if one.denoised else "noisy", None)]
    if one.error is not None:
        scale = Scale(0.0, most)
        title = f"{metric} {float(one.error.mean(dtype=np.float64)):.4f}"
        tiles.append(_tile(colours(one.error, scale), title, scale))
    title = f"samples so far, mean {float(one.spent.mean(dtype=np.float64)):.4g}"
    tiles.append(_tile(colours(one.spent, counted), title, counted))
    gap = np.full((tiles[0].shape[0], 4, 3), 18, np.uint8)
    row = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(row, axis=1)


def _tile(pixels: NDArray[np.uint8], title: str, scale: Scale | None) -> NDArray[np.uint8]:
    """An image under its title, over its colour bar."""
    factor = max(1, -(-LEAST_WIDTH // pixels.shape[1]))
    image = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    width = image.shape[1]
    head = Image.new("RGB", (width, TITLE_HEIGHT), (18, 19, 22))
    font = ImageFont.load_default(size=13)
    ImageDraw.Draw(head).text((2, TITLE_HEIGHT / 2), title, font=font, fill=(236, 238, 241), anchor="lm")
    foot = np.full((BAR_HEIGHT, width, 3), 18, np.uint8) if scale is None else bar(scale, width)
    return np.concatenate([np.asarray(head), image, foot], axis=0)


def exr_bytes(one: RoundMaps) -> bytes:
    """R G B of the picture, `error.Y` where it was judged, `samples.Y` so far and `round.Y` of this round; 32 bit."""
    layers: dict[str, NDArray[Any]] = {"samples.Y": one.spent, "round.Y": one.samples}
    layers |= {name: one.picture[..., k] for k, name in enumerate("RGB")}
    if one.error is not None:
        layers["error.Y"] = one.error
    channels = {name: np.ascontiguousarray(values, np.float32) for name, values in layers.items()}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "round": one.number}
    stream = io.BytesIO()
    OpenEXR.File(header, channels).write(stream)
    return stream.getvalue()
