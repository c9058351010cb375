"""The errors that Penumbra raises, by what the user can do about them.

PenumbraError
 ├── ConfigError      mend the file: path, line, key, suggestion
 ├── SceneError       mend the scene: a missing file, an unknown plugin, a BSDF that cannot be asked
 ├── AssetError       mend the asset: maps of different sizes, a missing asset.yaml
 ├── StoreError       retry, or free space: the product store cannot be read or written
 ├── ProductError     made anew: a product that is damaged, foreign, or of another format version
 ├── DeviceError      another device: no LLVM, no GPU, a wrong variant
 └── FarmError        the broker, a worker, a job's state

The command line prints the message alone; `--debug` adds the traceback.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AssetError",
    "ConfigError",
    "DeviceError",
    "FarmError",
    "PenumbraError",
    "ProductError",
    "SceneError",
    "StoreError",
]


class PenumbraError(Exception):
    """Base of every error that a user is expected to meet. Its text is one clear message."""

    exit_code = 1


class ConfigError(PenumbraError):
    """A configuration file (or an option that overrides it) is wrong.

    Args:
        message: what is wrong, without the place.
        path: the file, if there is one.
        line: 1-based line in the file.
        key: dotted key, `sampling.max_spp`.
        suggestion: a name that was probably meant, or how to mend it.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        key: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        self.message, self.path, self.line, self.key, self.suggestion = message, path, line, key, suggestion
        place = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        text = place + (f"{key}: " if key else "") + message
        super().__init__(text + (f" ({suggestion})" if suggestion else ""))


class SceneError(PenumbraError):
    """A scene cannot be parsed, frozen or loaded."""

    exit_code = 2


class AssetError(PenumbraError):
    """A captured material or another asset is missing or inconsistent."""

    exit_code = 2


class StoreError(PenumbraError):
    """The product store cannot be read or written."""


class ProductError(PenumbraError):
    """A product is damaged, foreign, or of another format version."""


class DeviceError(PenumbraError):
    """No device of this machine can do what was asked."""


class FarmError(PenumbraError):
    """The broker, the workers, or a job's state stand in the way."""
