"""Networks on disk: safetensors, read without pickle, with the sizes that they were made for.

The file's metadata says the preset, the sources and the stage of training; `pipeline.denoise.weights` finds the files
that ship.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import PRESETS
from pipeline.denoise.network.sources import SOURCES
from pipeline.errors import ConfigError

__all__ = ["FORMAT", "load", "save_bytes"]

FORMAT = "kernel-predictor-v1"


def save_bytes(network: KernelPredictor, *, half: bool = True, **facts: str) -> bytes:
    """The file's content.

    Args:
        network: on any device.
        half: store as bfloat16, which is what the CPU computes with.
        facts: strings for the metadata.
    """
    state = {
        name: (value.to(torch.bfloat16) if half else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "preset": network.preset.name,
        "channels": json.dumps({name: SOURCES[name].channels for name in network.encoders}),
        **facts,
    }
    return save(state, metadata)


def load(path: Path) -> KernelPredictor:
    """The network of a file, on the CPU, in float32, for inference.

    Raises:
        ConfigError: the file is missing, damaged, or of another version of the network.
    """

    def refuse(why: str) -> ConfigError:
        return ConfigError(f"{path}: {why}", key="denoise.backend", suggestion="weights of this version of Penumbra")

    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise refuse(f"not weights of this version ({metadata.get('format', 'no format')}, wanted {FORMAT})")
            channels = json.loads(metadata["channels"])
            unknown = [n for n, c in channels.items() if n not in SOURCES or SOURCES[n].channels != c]
            if metadata["preset"] not in PRESETS or unknown:
                raise refuse(f"made for another network: {metadata['preset']} {', '.join(unknown)}".rstrip())
            network = KernelPredictor(PRESETS[metadata["preset"]], channels)
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise refuse(f"the weights cannot be read: {error}") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise refuse("made for another network: layers are missing or of another size") from error
    return network.eval().requires_grad_(False)
