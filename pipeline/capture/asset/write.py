"""Writing an asset: everything into a folder beside the target, which then takes its place."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.capture.asset import exchange, pictures
from pipeline.capture.asset.files import write_maps
from pipeline.capture.asset.tile import Tiled, tiled
from pipeline.capture.fit import Fit
from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import decode
from pipeline.capture.photo.prepare import Prepared
from pipeline.errors import AssetError, StoreError
from pipeline.scene.captured_asset import FORMAT, is_asset

__all__ = ["WIDTH", "Wishes", "check_target", "put_in_place", "write_asset"]

WIDTH = 0.2
"""Metres of a patch whose size nobody told: an assumption, and recorded as one."""


@dataclass(frozen=True)
class Wishes:
    """What an asset is to have.

    Attributes:
        name: for people, and for exports.
        width: of the photographed patch in metres; None: the card's, else `WIDTH`.
        tile: whether it is made tileable.
        movie: whether a movie of a turning light is made.
    """

    name: str
    width: float | None = None
    tile: bool = False
    movie: bool = True


def check_target(folder: Path) -> None:
    """Raises AssetError when the folder holds something that is no captured material."""
    if folder.exists() and not (folder.is_dir() and (is_asset(folder) or not any(folder.iterdir()))):
        raise AssetError(f"{folder}: is there already, and is no captured material; another --out")


def write_asset(
    folder: Path, prepared: Prepared, fit: Fit, wishes: Wishes, *, maker: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes an asset, in place of the one that was there.

    Args:
        maker: what made it: method's weights, options; plain values, recorded as they are.

    Returns:
        the record, as in `asset.yaml`.

    Raises:
        AssetError: the folder holds something else.
        StoreError: it cannot be written.
    """
    check_target(folder)
    made: Tiled | None = tiled(fit.unknowns) if wishes.tile else None
    maps = decode(fit.unknowns if made is None else made.unknowns)
    told = wishes.width or prepared.width
    width = (told or WIDTH) * maps.size[1] / fit.unknowns.shape[-1]
    record = _record(prepared, fit, wishes, made, width, maker)
    photographs = Photographs(prepared.photographs.pixels, fit.shot)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            part = Path(name) / "asset"
            part.mkdir()
            write_maps(part, maps)
            exchange.write(part, maps, name=wishes.name, width=width)
            lines = [_line(record), *map(str, prepared.remarks[:4])]
            pictures.write_sheet(part / "sheet.png", decode(fit.unknowns), photographs, title=wishes.name, lines=lines)
            if wishes.movie and (note := pictures.write_movie(part / "turning-light.mp4", maps)) is not None:
                record["notes"] = [*record.get("notes", []), note]
            with (part / "asset.yaml").open("w", encoding="utf-8") as file:
                YAML().dump(record, file)
            _take_place(part, folder, Path(name) / "before")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return record


def put_in_place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes an asset that was made elsewhere, in place of the one that was there.

    Args:
        folder: of the asset.
        files: by their paths in it.

    Raises:
        AssetError: the folder holds something else, or a file would lie outside of it.
        StoreError: it cannot be written.
    """
    check_target(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            part = Path(name).resolve() / "asset"
            part.mkdir()
            for path, data in files.items():
                file = (part / path).resolve()
                if not file.is_relative_to(part):
                    raise AssetError(f"{folder}: {path!r:.80} would lie outside of it")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            _take_place(part, folder, Path(name) / "before")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _take_place(part: Path, folder: Path, before: Path) -> None:
    """The new folder in place of the old one, which goes with the temporary folder that holds it."""
    if folder.exists():
        os.replace(folder, before)
    try:
        os.replace(part, folder)
    except OSError:
        if before.exists():
            os.replace(before, folder)
        raise
    with contextlib.suppress(OSError):
        shutil.rmtree(before)


def _record(
    prepared: Prepared, fit: Fit, wishes: Wishes, made: Tiled | None, width: float, maker: Mapping[str, Any]
) -> dict[str, Any]:
    height, across = (fit.unknowns if made is None else made.unknowns).shape[-2:]
    size = "given" if wishes.width else "the card" if prepared.width else "assumed"
    record: dict[str, Any] = {
        "format": FORMAT,
        "name": wishes.name,
        "texels": [int(across), int(height)],
        "size": [round(width, 5), round(width * height / across, 5)],  # metres
        "size_from": size,
        "tileable": made is not None,
        "maps": {
            "albedo": "linear Rec. 709",
            "specular": "linear Rec. 709, reflectance at normal incidence",
            "roughness": "linear; alpha of GGX is its square",
            "normal": "x right, y up, z out; EXR as it is, PNG packed",
        },
        "made_by": {"method": fit.method, "seconds": round(fit.seconds, 2), **maker},
        "fit": {"rmse": round(fit.error, 5)},  # sRGB-encoded, clipped
        "photographs": list(prepared.facts),
    }
    if made is not None:
        record["seam"] = round(made.seam, 3)
    if prepared.remarks:
        record["remarks"] = [{"text": r.text, "confidence": round(r.confidence, 3)} for r in prepared.remarks]
    return record


def _line(record: Mapping[str, Any]) -> str:
    (across, height), (wide, high) = record["texels"], record["size"]
    tiles = f", tiles (seam {record['seam']:.2f})" if record["tileable"] else ""
    return (
        f"{record['made_by']['method']}; {across}×{height} texels, {100 * wide:.3g}×{100 * high:.3g} cm "
        f"({record['size_from']}); fit RMSE {record['fit']['rmse']:.4f}{tiles}"
    )
