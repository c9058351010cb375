"""The weights that ship with the package: which presets have some, their fingerprints, and their model cards.

    pipeline/denoise/weights/<preset>.safetensors                 a denoiser's parameters
    pipeline/denoise/weights/error-<preset>.safetensors           what predicts its errors, in several metrics
    pipeline/denoise/weights/error-<preset>-<metric>.safetensors  the same in one metric
    pipeline/denoise/weights/*.json                               the model card of each

Nothing here reads the parameters themselves, so that a submit, or a worker that starts, needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigError

__all__ = [
    "card",
    "denoisers",
    "directory",
    "fingerprint",
    "path",
    "predicted_metrics",
    "predictor",
    "predictor_of",
    "shipped",
    "together",
]

_PREDICTOR: Final = "error-"


def directory() -> Path:
    """Where the weights are."""
    return Path(__file__).with_name("weights")


def predictor(preset: str, metric: str | None = None) -> str:
    """Name, among the weights, of what predicts the errors of a denoiser's preset: in one metric, or in several.

    >>> predictor("fast"), predictor("fast", "dssim")
    ('error-fast', 'error-fast-dssim')
    """
    return f"{_PREDICTOR}{preset}" if metric is None else f"{_PREDICTOR}{preset}-{metric}"


def predictor_of(preset: str, metric: str) -> str | None:
    """The shipped weights that predict a metric: those of the metric alone stand before those of several.

    Raises:
        ConfigError: a model card is damaged.
    """
    there = shipped()
    found = (name for name in (predictor(preset, metric), predictor(preset)) if name in there)
    return next((name for name in found if metric in card(name).get("metrics", ())), None)


def predicted_metrics(preset: str) -> tuple[str, ...]:
    """The metrics that are predicted for a denoiser's preset, in alphabetical order.

    Raises:
        ConfigError: a model card is damaged.
    """
    return tuple(sorted({metric for name in _predictors(preset) for metric in card(name).get("metrics", ())}))


def path(preset: str) -> Path:
    """The weights of a preset, whether they are there or not."""
    return directory() / f"{preset}.safetensors"


def shipped() -> tuple[str, ...]:
    """The weights that are there with their model card, in alphabetical order."""
    found = sorted(file.stem for file in directory().glob("*.safetensors"))
    return tuple(preset for preset in found if path(preset).with_suffix(".json").is_file())


def denoisers() -> tuple[str, ...]:
    """The presets of the denoiser among what is shipped."""
    return tuple(name for name in shipped() if not name.startswith(_PREDICTOR))


def together() -> tuple[tuple[str, ...], ...]:
    """The sets of weights that one job may ask for: a denoiser's, alone or with those that predict its errors."""
    alone = denoisers()
    return (*((preset,) for preset in alone), *((preset, name) for preset in alone for name in _predictors(preset)))


def _predictors(preset: str) -> list[str]:
    return [name for name in shipped() if name == predictor(preset) or name.startswith(f"{predictor(preset)}-")]


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
    others = " or ".join(denoisers())
    return ConfigError(
        f"there are no weights of the preset {preset} of the kernel-predicting network",
        key="denoise.preset",
        suggestion=f"use {others}" if others else "use denoise.backend oidn or none",
    )
