"""Results of long measurements on disk, one file each: whole or not there, so that an interrupted run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kept", "kept"]


@dataclass(frozen=True)
class Kept:
    """What one file holds.

    Attributes:
        figures: JSON values.
        arrays: by name.
    """

    figures: Any
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)


def kept(file: Path, make: Callable[[], Kept]) -> Kept:
    """What a file holds; made and written where it is not there."""
    if file.exists():
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "figures"}
            return Kept(json.loads(str(stored["figures"])), arrays)
    made = make()
    with _appearing(file) as stream:
        content: dict[str, Any] = {"figures": np.array(json.dumps(made.figures)), **made.arrays}
        np.savez_compressed(stream, **content)
    return made


@contextlib.contextmanager
def _appearing(file: Path) -> Iterator[Any]:
    """A stream whose content is the file's once it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as stream:
        try:
            yield stream
        except BaseException:
            os.unlink(stream.name)
            raise
    os.replace(stream.name, file)
