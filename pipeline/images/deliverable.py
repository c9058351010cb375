"""The deliverable EXR of one frame: multi-part, lossless, with every layer and what a compositor asks for.

The bytes are a pure function of the `Deliverable`: no time stamp, no host, no path. Matrices are given as numpy people
write them (column vectors, p' = M p) and stored as OpenEXR asks for (row vectors, translation in the last row).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.errors import ProductError, StoreError
from pipeline.images.channels import BEAUTY, BY_NAME, LAYERS, Layer
from pipeline.images.colour_space import CHROMATICITIES, rendering_of
from pipeline.images.size import check_exr

__all__ = ["Deliverable", "Extra", "decode", "encode", "read", "world_to_ndc", "write"]

Array = NDArray[np.float32]

REC709_CHROMATICITIES = CHROMATICITIES["linear_srgb"]
"""The primaries of sRGB too."""

HALF_MAX = float(np.finfo(np.float16).max)  # 65504

_COMPRESSION = OpenEXR.ZIP_COMPRESSION  # lossless, 16 scan lines a block; DWAA would damage every `.Y`


def _software() -> str:
    return f"Penumbra {version('penumbra-pipeline')}"


@dataclass(frozen=True)
class Extra:
    """A layer that a shot asked for beside those that all have.

    Attributes:
        layer: its part and channels.
        values: H×W×C.
        attributes: of its part's header, beside those of all parts: numbers and texts.
    """

    layer: Layer
    values: Array
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deliverable:
    """What one deliverable EXR says.

    Attributes:
        layers: by the names of `channels.LAYERS`; float, H×W×C (H×W where a layer has one channel), all of one H×W.
        world_to_camera: 4×4, column vectors, world to the renderer's camera space; None for cameras that have none.
        window: (x, y, W, H) where the picture is a part of a frame of W×H pixels, or reaches beyond it: its corner in
            pixels of that frame (of the data window), and the frame's size (the display window); None: all of it.
        space: rendering space of the colours, which the chromaticities tell: linear_srgb or acescg.
        extras: layers that the shot asked for, in file order, after the others.
        world_to_ndc: 4×4, column vectors, world to the display window: (0, 0) its upper left, (1, 1) its lower right
            corner, after division by w (OpenEXR's `worldToNDC`); None for cameras that are not perspective.
        samples_per_pixel: mean over the frame.
        lambda_: the frame's λ, or its mean where there is a map (the layer `lambda` has the map).
    """

    shot: str
    frame: int
    fps: Fraction
    job_hash: str
    samples_per_pixel: float
    lambda_: float
    layers: Mapping[str, Array]
    world_to_camera: NDArray[Any] | None = None
    world_to_ndc: NDArray[Any] | None = None
    extras: tuple[Extra, ...] = ()
    window: tuple[int, int, int, int] | None = None
    space: str = "linear_srgb"

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.layers[BEAUTY.name].shape[:2]
        return height, width

    @property
    def beauty(self) -> Array:
        """Denoised beauty without alpha: H×W×3."""
        return self.layers[BEAUTY.name][..., :3]


def world_to_ndc(
    world_to_film: NDArray[Any], width: int, height: int, *, corner: tuple[int, int] = (0, 0)
) -> NDArray[np.float64]:
    """What `Deliverable.world_to_ndc` wants, from a matrix to homogeneous pixel coordinates (x right, y down).

    Args:
        world_to_film: 4×4; its pixels are counted from `corner`.
        width, height: of the display window.
        corner: of what is rendered, in pixels of the display window.
    """
    scale = np.diag([1.0 / width, 1.0 / height, 1.0, 1.0])
    shift = np.eye(4)
    shift[:2, 3] = corner
    return scale @ shift @ np.asarray(world_to_film, dtype=np.float64)


def encode(frame: Deliverable) -> tuple[bytes, dict[str, int]]:
    """The EXR's bytes, the same for the same input.

    Returns:
        the file, and by layer how many values lay beyond half's range and were clamped to ±65504 (only layers that
        had some).

    Raises:
        ProductError: a layer is missing, unknown or of the wrong shape, or has NaN or infinity.
    """
    where = f"{frame.shot} frame {frame.frame}"
    _check_names(frame.layers, where)
    header = _header(frame)
    parts, clamped = [], {}
    usual = (Extra(layer, frame.layers[layer.name]) for layer in LAYERS)
    for extra in (*usual, *frame.extras):
        layer = extra.layer
        values = _checked(extra.values, layer, frame.shape, where)
        if layer.pixel == "half":
            beyond = int(np.count_nonzero(np.abs(values) > HALF_MAX))
            if beyond:
                clamped[layer.name] = beyond
                values = np.clip(values, -HALF_MAX, HALF_MAX)
        stored = values.astype(layer.dtype)
        channels = {name: np.ascontiguousarray(stored[..., i]) for i, name in enumerate(layer.channels)}
        parts.append(OpenEXR.Part({**header, **extra.attributes}, channels, layer.name))
    stream = io.BytesIO()
    OpenEXR.File(parts).write(stream)
    return stream.getvalue(), clamped


def write(path: Path, frame: Deliverable) -> dict[str, int]:
    """Writes the EXR to `path`; publishing it under its name (link, fsync) is the caller's.

    Returns:
        clamped values by layer, as `encode`.

    Raises:
        ProductError: as `encode`.
        StoreError: `path` cannot be written.
    """
    data, clamped = encode(frame)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot write the deliverable: {error.strerror or error}") from error
    return clamped


def read(path: Path) -> Deliverable:
    """Reads a deliverable; colours come back as float32, rounded to half.

    Raises:
        StoreError: `path` cannot be read.
        ProductError: not an EXR, truncated, or not one of ours.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot read the deliverable: {error.strerror or error}") from error
    return decode(data, source=str(path))


def decode(data: bytes, *, source: str = "deliverable") -> Deliverable:
    """As `read`, from bytes; `source` names them in messages.

    Raises:
        ProductError: not an EXR, truncated, or not one of ours.
    """
    try:
        check_exr(data)
        # OpenEXR prints what is wrong with a part and carries on without it; stdout belongs to the caller's `--json`.
        with redirect_stdout(io.StringIO()):
            parts = OpenEXR.File(io.BytesIO(data), separate_channels=True).parts
    except (RuntimeError, ValueError) as error:
        raise ProductError(f"{source}: not a readable EXR: {error}") from error
    found = {part.name(): part for part in parts}
    layers: dict[str, Array] = {}
    for layer in LAYERS:
        if layer.name not in found:
            raise ProductError(f"{source}: part `{layer.name}` is missing")
        channels = found[layer.name].channels
        absent = [name for name in layer.channels if name not in channels]
        if absent:
            raise ProductError(f"{source}: part `{layer.name}` lacks channel {', '.join(absent)}")
        stack = [np.asarray(channels[name].pixels, dtype=np.float32) for name in layer.channels]
        layers[layer.name] = stack[0] if len(stack) == 1 else np.stack(stack, axis=-1)
    extras = tuple(_extra(part) for name, part in found.items() if name not in BY_NAME)
    header = parts[0].header
    try:
        return Deliverable(
            shot=header["shot"],
            frame=header["frame"],
            fps=header["framesPerSecond"],
            job_hash=header["jobHash"],
            samples_per_pixel=header["samplesPerPixel"],
            lambda_=header["lambda"],
            layers=layers,
            world_to_camera=_column_vectors(header.get("worldToCamera")),
            world_to_ndc=_column_vectors(header.get("worldToNDC")),
            extras=extras,
            window=_window(header),
            space=rendering_of(header.get("chromaticities")) or "linear_srgb",
        )
    except KeyError as error:
        raise ProductError(f"{source}: attribute `{error.args[0]}` is missing") from error


def _extra(part: Any) -> Extra:
    """A part that is none of the usual ones; its channels come in the order of their groups, R G B A and X Y Z each."""
    names = sorted(part.channels, key=lambda name: (name.rpartition(".")[0], "RGBAXYZUV".find(name[-1])))
    pixels = [np.asarray(part.channels[name].pixels) for name in names]
    kind: Any = "half" if pixels[0].dtype == np.float16 else "float"
    texts = {key: value for key, value in part.header.items() if key.startswith("cryptomatte/")}
    stack = np.stack([plane.astype(np.float32) for plane in pixels], axis=-1)
    return Extra(Layer(part.name(), tuple(names), kind, "asked for by the shot"), stack, texts)


def _header(frame: Deliverable) -> dict[str, Any]:
    # The same in every part: a reader that opens one AOV alone still finds the camera, and OpenEXR wants
    # chromaticities and the windows to agree between parts.
    header: dict[str, Any] = {
        "compression": _COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": CHROMATICITIES[frame.space],
        "framesPerSecond": frame.fps,
        "software": _software(),
        "shot": frame.shot,
        "frame": frame.frame,
        "jobHash": frame.job_hash,
        "samplesPerPixel": float(frame.samples_per_pixel),
        "lambda": float(frame.lambda_),
    }
    if frame.window is not None:
        height, width = frame.shape
        x, y, full_width, full_height = frame.window
        header["dataWindow"] = _box(x, y, x + width - 1, y + height - 1)
        header["displayWindow"] = _box(0, 0, full_width - 1, full_height - 1)
    for name, matrix in (("worldToCamera", frame.world_to_camera), ("worldToNDC", frame.world_to_ndc)):
        if matrix is not None:
            header[name] = np.ascontiguousarray(np.asarray(matrix, dtype=np.float32).T)
    return header


def _box(left: int, top: int, right: int, bottom: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return np.array([left, top], np.int32), np.array([right, bottom], np.int32)


def _window(header: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    data, display = ([int(n) for corner in header[name] for n in corner] for name in ("dataWindow", "displayWindow"))
    return None if data == display else (data[0], data[1], display[2] + 1, display[3] + 1)


def _column_vectors(stored: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if stored is None else np.ascontiguousarray(stored.T)


def _check_names(layers: Mapping[str, Array], where: str) -> None:
    missing = [layer.name for layer in LAYERS if layer.name not in layers]
    unknown = [name for name in layers if name not in BY_NAME]
    if missing:
        raise ProductError(f"{where}: the deliverable lacks layer {', '.join(missing)}")
    if unknown:
        raise ProductError(f"{where}: the deliverable has no layer {', '.join(unknown)}")


def _checked(values: Array, layer: Layer, shape: tuple[int, int], where: str) -> Array:
    """The layer as H×W×C float32, finite."""
    values = np.asarray(values, dtype=np.float32)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape != (*shape, len(layer.channels)):
        raise ProductError(f"{where}: layer {layer.name} is {values.shape}, wanted {(*shape, len(layer.channels))}")
    finite = np.isfinite(values)
    if not finite.all():
        bad = np.argwhere(~finite.all(axis=-1))
        y, x = bad[0]
        raise ProductError(
            f"{where}: layer {layer.name} is not finite in {len(bad)} pixel{'s' if len(bad) > 1 else ''}, "
            f"first at x={x} y={y}"
        )
    return values
