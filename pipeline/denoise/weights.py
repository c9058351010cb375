"""The weights that ship with the package: which presets have some, their fingerprints, and their model cards.

    pipeline/denoise/weights/<preset>.safetensors    the network's parameters
    pipeline/denoise/weights/<preset>.json           its model card

Nothing here reads the parameters themselves, so that a submit, or a worker that starts, needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

__all__ = ["card", "directory", "fingerprint", "path", "predictor", "shipped"]


def directory() -> Path:
    """Where the weights are."""
    return Path(__file__).with_name("weights")


def predictor(preset: str) -> str:
    """Name, among the weights, of what predicts the errors of a denoiser's preset."""
    return f"error-{preset}"


def path(preset: str) -> Path:
    """The weights of a preset, whether they are there or not."""
    return directory() / f"{preset}.safetensors"


def shipped() -> tuple[str, ...]:
    """The presets whose weights and model card are there, in alphabetical order."""
    found = sorted(file.stem for file in directory().glob("*.safetensors"))
    return tuple(preset for preset in found if path(preset).with_suffix(".json").is_file())


def fingerprint(preset: str) -> str:
    """What tells these weights from all others: BLAKE2b-128 of the file, hexadecimal.

    Raises:
        ConfigError: no weights of this preset are shipped.
    """
    if preset not in shipped():
        raise _missing(preset)
    state = path(preset).stat()
    return _digest(path(preset), state.st_mtime_ns, state.st_size)


def card(preset: str) -> dict[str, Any]:
    """The model card: where the weights come from, and what was measured with them.

    Raises:
        ConfigError: no weights of this preset are shipped, or the card is damaged.
    """
    if preset not in shipped():
        raise _missing(preset)
    file = path(preset).with_suffix(".json")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"the model card is not JSON: {error}", path=file) from error
    if not isinstance(content, dict):
        raise ConfigError("the model card holds no keys", path=file)
    return content


@lru_cache(maxsize=16)
def _digest(file: Path, changed: int, size: int) -> str:
    """Of a file's content, computed once while it does not change."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _missing(preset: str) -> ConfigError:
    others = " or ".join(shipped())
    return ConfigError(
        f"there are no weights of the preset {preset} of the kernel-predicting network",
        key="denoise.preset",
        suggestion=f"use {others}" if others else "use denoise.backend oidn or none",
    )
