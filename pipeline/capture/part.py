"""One photograph's material as bytes: what a task of the farm makes of a folder's photographs.

What a task is told is plain data, and files by their paths; what it gives is the asset's files, to be put into a folder
by whoever asked (`asset.write.put_in_place`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.capture.asset.write import Wishes
from pipeline.capture.photo.prepare import Region
from pipeline.capture.run import Order, capture

__all__ = ["make", "settings_of"]


def settings_of(order: Order) -> dict[str, Any]:
    """What all photographs of a folder share of an order, as JSON values. Its weights are the caller's to send along.

    Photographs, the folder and the name are each photograph's own.
    """
    wishes = {key: value for key, value in asdict(order.wishes).items() if key != "name"}
    shared = {key: getattr(order, key) for key in ("method", "preset", "extra", "resolution")}
    return {"region": asdict(order.region), "wishes": wishes, **shared}


def make(
    settings: Mapping[str, Any],
    name: str,
    photograph: Path,
    file_name: str,
    *,
    weights: Path | None = None,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Makes the material of a photograph.

    Args:
        settings: of `settings_of`, as they come out of JSON.
        name: of the material.
        photograph: where it is.
        file_name: what its owner calls it.
        weights: of the network, in place of the preset's.
        say: told of progress and of remarks. What it raises ends the work.

    Returns:
        the asset's record, and its files by their paths in the asset's folder.

    Raises:
        As `pipeline.capture.run.capture`.
    """
    with tempfile.TemporaryDirectory(prefix="penumbra-capture-") as scratch:
        called = Path(scratch) / Path(file_name).name
        called.symlink_to(photograph)
        folder = Path(scratch) / "made" / "asset"
        order = Order(
            (called,),
            folder,
            Wishes(name, **settings["wishes"]),
            _region(settings["region"]),
            method=settings["method"],
            preset=settings["preset"],
            weights=weights,
            extra=int(settings["extra"]),
            resolution=int(settings["resolution"]),
        )
        record = capture(order, say=say)
        found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return record, {path: file.read_bytes() for path, file in found.items()}


def _region(values: Mapping[str, Any]) -> Region:
    corners, crop = values["corners"], values["crop"]
    return Region(
        corners=None if corners is None else tuple((float(x), float(y)) for x, y in corners),
        crop=None if crop is None else (int(crop[0]), int(crop[1]), int(crop[2]), int(crop[3])),
        aspect=values["aspect"],
        field_of_view=values["field_of_view"],
        exposure=values["exposure"],
    )
