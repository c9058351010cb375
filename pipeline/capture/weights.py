"""The weights that ship with the package.

    pipeline/capture/weights/<name>.safetensors    the networks' parameters
    pipeline/capture/weights/<name>.json           their model card

The name is that of the preset, with the number of photographs where it is not one: `small`, `small-5`. Nothing here
imports torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

__all__ = ["card", "directory", "fingerprints", "install", "name_of", "path", "shipped"]


def directory() -> Path:
    """Where the weights are."""
    return Path(__file__).with_name("weights")


def name_of(preset: str, photographs: int = 1) -> str:
    """Name, among the weights, of a preset for so many photographs."""
    return preset if photographs == 1 else f"{preset}-{photographs}"


def path(name: str) -> Path:
    """The weights of that name, whether they are there or not."""
    return directory() / f"{name}.safetensors"


def shipped() -> tuple[str, ...]:
    """Names of the weights that are there with their model card, in alphabetical order."""
    found = sorted(file.stem for file in directory().glob("*.safetensors"))
    return tuple(name for name in found if path(name).with_suffix(".json").is_file())


def fingerprints() -> dict[str, str]:
    """What tells the shipped weights from all others: BLAKE2b-128 of each file, by `capture/NAME`, as jobs carry it."""
    found = {}
    for name in shipped():
        with path(name).open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        found[f"capture/{name}"] = digest.hexdigest()
    return found


def card(name: str) -> dict[str, Any]:
    """The model card of weights that are there: where they come from, and what was measured with them."""
    content: dict[str, Any] = json.loads(path(name).with_suffix(".json").read_text(encoding="utf-8"))
    return content


def install(trained: Path, preset: str, photographs: int) -> Path:
    """Copies trained weights, and the `card.json` beside them, to where `shipped` finds them."""
    target = path(name_of(preset, photographs))
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(trained.with_name("card.json"), target.with_suffix(".json"))
    shutil.copyfile(trained, target)
    return target
