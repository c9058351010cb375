"""The files of a scene, named by their content as blobs are (`pipeline.scene.blobs`)."""

from __future__ import annotations

import hashlib

__all__ = ["Files"]


class Files(dict[str, bytes]):
    """Name → content."""

    def keep(self, data: bytes, extension: str) -> str:
        """Adds a file, and returns its name."""
        name = f"{hashlib.sha256(data).hexdigest()}.{extension}"
        self[name] = data
        return name
