"""Taking over what was steered on the page: into the shot's own file, and into a new version at full size."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.config.edit import Value, edit_file
from pipeline.config.load import FILE_NAME
from pipeline.errors import ConfigError, PenumbraError
from pipeline.farm.client import Farm
from pipeline.farm.job import Job
from pipeline.review.steering import painted

__all__ = ["MAP_FILE", "FullSize", "shot_file", "write_steering"]

log = logging.getLogger(__name__)

MAP_FILE: Final = "lambda_map.exr"
"""Of a painted map, beside the shot's file."""


def shot_file(project: Path, shot: str) -> Path:
    """The file of a shot in a project.

    Raises:
        ConfigError: the project has no such shot.
    """
    root = (project / "shots").resolve()
    path = (root / shot / FILE_NAME).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise ConfigError(f"there is no shots/{shot}/{FILE_NAME} to write to", path=project)
    return path


def write_steering(
    path: Path, value: float, strokes: NDArray[np.uint8] | None, shape: tuple[int, int]
) -> dict[str, Value]:
    """Writes λ into a shot's file; a painted map goes beside it.

    Args:
        path: of the shot's file.
        value: λ where nothing is painted.
        strokes: see `steering.painted`; None or empty: no map, and one that the file names stays.
        shape: (H, W) of the frames.

    Returns:
        What was written, by dotted key.

    Raises:
        ConfigError: λ is out of its range, or a file cannot be written.
    """
    steered = painted(value, strokes, shape)
    value = round(value, 4)
    values: dict[str, Value] = {"denoise.lambda": int(value) if value == int(value) else value}
    if isinstance(steered, np.ndarray):
        _write(path.parent / MAP_FILE, _map_bytes(steered))
        values["denoise.lambda_map"] = MAP_FILE
    edit_file(path, values)
    return values


@dataclass
class FullSize:
    """Versions that are denoised anew at full size. Without a broker they are made here, one after another.

    Args:
        farm: where the jobs live.
    """

    farm: Farm

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def start(self, job: Job, value: float, map_file: Path | None) -> str:
        """Sets a new version going; says so.

        Args:
            job: whose samples it takes.
            value: λ.
            map_file: of a painted map, if there is one.

        Raises:
            PenumbraError: it cannot be denoised anew.
        """
        from pipeline.farm.redenoise import redenoise

        overrides = {"denoise.lambda": value, "denoise.backend": "kpcn"}
        if map_file is not None:
            overrides["denoise.lambda_map"] = str(map_file)
        settings, out = self.farm.config, self.farm.store.url
        if settings.broker_url is not None:
            return f"{redenoise(job.id, overrides, settings=settings, out=out, wait=False).job} is enqueued"

        def run() -> None:
            with self._lock:
                try:
                    redenoise(job.id, overrides, settings=settings, out=out, wait=True)
                except PenumbraError as error:
                    log.error("%s", error)

        threading.Thread(target=run, name="redenoise", daemon=True).start()
        return f"{job.id} is being denoised anew on this machine"


def _map_bytes(values: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Y": np.ascontiguousarray(values, np.float32)}).write(stream)
    return stream.getvalue()


def _write(path: Path, data: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=path) from error
