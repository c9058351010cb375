"""One hash for what a frozen scene holds: the part of a job's hash that the scene contributes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pipeline.scene.spec import FrozenScene

__all__ = ["fingerprint"]


def fingerprint(frozen: Mapping[str, FrozenScene]) -> str:
    """SHA-256 (64 hexadecimal digits) over the frames and the content of their scenes.

    The XML names every file by its content and is itself named by its content, so its name says all; where the files
    came from, and warnings, do not count.

    >>> fingerprint({"*": FrozenScene("a.xml")}) == fingerprint({"*": FrozenScene("a.xml", warnings=("w",))})
    True
    """
    text = "\n".join(f"{key} {frozen[key].xml}" for key in sorted(frozen))
    return hashlib.sha256(text.encode()).hexdigest()
