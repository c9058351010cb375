"""Networks on disk: safetensors, read without pickle, with the sizes that they were made for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.capture.network.model import Capturer
from pipeline.capture.network.presets import PRESETS
from pipeline.errors import ConfigError

__all__ = ["FORMAT", "load", "save_bytes"]

FORMAT = "capturer-v1"


def save_bytes(network: Capturer, **facts: str) -> bytes:
    """The file's content; `facts` are strings for its metadata."""
    state = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "preset": network.preset.name,
        "photographs": str(network.photographs),
        "gradients": str(int(network.gradients)),
        **facts,
    }
    return save(state, metadata)


def load(path: Path) -> Capturer:
    """The network of a file, on the CPU, for inference.

    Raises:
        ConfigError: the file is missing, damaged, or of another version of the network.
    """

    def refuse(why: str) -> ConfigError:
        return ConfigError(f"{path}: {why}", key="--preset", suggestion="weights of this version of Penumbra")

    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise refuse(f"not weights of this version ({metadata.get('format', 'no format')}, wanted {FORMAT})")
            network = Capturer(
                PRESETS[metadata["preset"]],
                photographs=int(metadata["photographs"]),
                gradients=metadata["gradients"] == "1",
            )
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise refuse(f"the weights cannot be read: {error}") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise refuse("made for another network: layers are missing or of another size") from error
    return network.eval().requires_grad_(False)
