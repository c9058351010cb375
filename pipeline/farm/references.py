"""References of the guide `oracle`: a sequence that a shot names, frozen by content, and read frame by frame.

What is frozen is a list of blobs by frame, itself a blob. Every file is on it that the pattern finds, whichever frames
are wanted now, so that more frames of a shot are the same version.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.shot import Shot
from pipeline.errors import AssetError
from pipeline.farm.names import Frame
from pipeline.images.beauty import read_beauty
from pipeline.scene import blobs as content

__all__ = ["freeze_references", "read_reference"]

_EVERY = "*"
"""Key of the only reference of a shot that names no pattern."""


def freeze_references(shot: Shot, blobs: Path) -> str:
    """Puts a shot's references into the blob directory, and returns the name of their list.

    Raises:
        AssetError: one of them is no picture, or not of the frame's size.
    """
    listed: dict[str, str] = {}
    for frame, path in _found(shot).items():
        rows, columns = read_beauty(path).shape[:2]
        if (size := shot.rendered_size) is not None and (columns, rows) != size:
            width, height = size
            raise AssetError(
                f"{path}: sampling.reference: the picture is {columns}×{rows} pixels, the frame {width}×{height}"
            )
        listed[frame] = content.put(blobs, path)
    return content.put_text(blobs, json.dumps(listed, sort_keys=True), "json")


def read_reference(blobs: Path, frozen: str, frame: Frame, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The reference of a frame, H×W×3, linear.

    Args:
        blobs: the blob directory.
        frozen: what `freeze_references` returned.
        frame: its number.
        shape: (H, W) of the frame.

    Raises:
        AssetError: there is none of this frame, or it is of another size.
        SceneError: what was frozen is gone, or damaged.
    """
    listed = json.loads(content.resolve(blobs, frozen, {}).read_text(encoding="utf-8"))
    name = listed.get(str(frame), listed.get(_EVERY))
    if name is None:
        raise AssetError(f"sampling.reference: there was none of frame {frame} when the shot was submitted")
    picture = read_beauty(content.resolve(blobs, name, {}))
    if picture.shape[:2] != shape:
        (rows, columns), (height, width) = picture.shape[:2], shape
        raise AssetError(
            f"sampling.reference: the picture of frame {frame} is {columns}×{rows} pixels, the frame {width}×{height}"
        )
    return picture


def _found(shot: Shot) -> dict[str, Path]:
    """All files of the shot's pattern, by frame."""
    written = shot.sampling.reference
    assert written is not None, "the schema asks for a reference where the guide is the oracle"
    if shot.sampling.reference_of(0) == written:
        return {_EVERY: shot.resolve(written)}
    pattern = shot.resolve(written)
    before, after = re.split(r"%0?\d?d", pattern.name)
    numbered = re.compile(re.escape(before) + r"(-?\d+)" + re.escape(after))
    found = {}
    for path in sorted(pattern.parent.iterdir()):
        match = numbered.fullmatch(path.name)
        # Other paddings of a number are other files, which the pattern does not mean.
        if match is not None and shot.resolve(str(shot.sampling.reference_of(int(match[1])))) == path:
            found[str(int(match[1]))] = path
    return found
