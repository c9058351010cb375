"""Spatial features of single frames: found once, and kept for the windows and for every λ that come.

Source: Vogels et al. 2018, §3.1, §4.2.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.denoise.frame import Frame, Window
from pipeline.denoise.memory import give_back
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.sources import inputs, source
from pipeline.denoise.network.threads import spread

if TYPE_CHECKING:
    from pipeline.denoise.cache import Cache

__all__ = ["KEPT", "STRIP", "WHOLE", "Features"]

WHOLE, STRIP = 3 * 2**20, 2**20
"""Pixels of a frame whose features are extracted at once, and of the strips of a larger one, without what the network
sees beyond."""

_ROWS = 64
"""Of a frame, whose inputs a thread makes in one turn."""

KEPT = 3 * 2**28
"""Bytes of features that are kept in memory for the next windows: those of three frames at 1920×1080."""


class Features:
    """Extracts a network's features of frames, and keeps them.

    Args:
        network: in evaluation mode, on its device.
        identity: of its weights; part of the keys in `cache`.
        cache: on this machine's disk; None keeps them in memory alone.
    """

    def __init__(self, network: KernelPredictor, identity: str, cache: Cache | None) -> None:
        self._network, self._identity, self._cache = network, identity, cache
        self._memory: OrderedDict[str, tuple[list[Tensor], int]] = OrderedDict()

    def of(self, component: str, frame: Frame, number: int, exposed: float, window: Window) -> list[Tensor]:
        """Features of one component of a frame, per level; kept where the window knows the frame's digest. `exposed`:
        `sources.exposure` of the frame."""
        digest = getattr(window, "digest", None)
        key = None if digest is None else f"{digest(number)}-{self._identity}-{component}"
        if key is not None and (kept := self._kept(key)) is not None:
            return kept
        features = self._extract(frame, component, exposed)
        if key is not None:
            self._keep(key, features)
        return features

    def _kept(self, key: str) -> list[Tensor] | None:
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key][0]
        if self._cache is None or (arrays := self._cache.get(key)) is None:
            return None
        device = next(self._network.parameters()).device
        return [
            torch.from_numpy(np.array(arrays[f"level{i}"])).view(torch.bfloat16).to(device) for i in range(len(arrays))
        ]

    def _keep(self, key: str, features: list[Tensor]) -> None:
        size = sum(f.element_size() * f.nelement() for f in features)
        if 4 * size <= KEPT:  # of larger ones too few would fit to serve a neighbour
            self._memory[key] = (features, size)
        while self._memory and sum(each for _, each in self._memory.values()) > KEPT:
            self._memory.popitem(last=False)
        if self._cache is not None:
            self._cache.put(
                key,
                {
                    f"level{i}": f.to(torch.bfloat16).contiguous().view(torch.int16).cpu().numpy()
                    for i, f in enumerate(features)
                },
            )

    def _extract(self, frame: Frame, component: str, exposed: float) -> list[Tensor]:
        """Features of a frame, in strips where it is large: exactly those of the whole frame."""
        network = self._network
        device = next(network.parameters()).device
        height, width = frame.shape
        unit = network.stride(network.levels - 1) * 2  # the U-Net's bottleneck is one level further down
        rows = max(unit, STRIP // width // unit * unit)

        def extract(part: Frame) -> list[Tensor]:
            stacked = np.empty((*part.shape, source(frame.source).channels), np.float32)

            def fill(top: int) -> None:
                planes = inputs(part.rows(top, top + _ROWS), component, exposed)
                stacked[top : top + _ROWS] = np.moveaxis(planes, 0, -1)

            spread([partial(fill, top) for top in range(0, part.shape[0], _ROWS)])
            x = torch.from_numpy(stacked).permute(2, 0, 1)[None]
            return network.extract(x.to(device), frame.source)

        if height * width <= WHOLE:
            return extract(frame)
        halo = -(-self._reach() // unit) * unit
        pieces: list[list[Tensor]] = []
        for top in range(0, height, rows):
            a, b = max(0, top - halo), min(height, top + rows + halo)
            give_back()
            piece = []
            for level, features in enumerate(extract(frame.rows(a, b))):
                stride = network.stride(level)
                first = (top - a) // stride
                last = features.shape[-2] if top + rows >= height else first + rows // stride
                piece.append(features[..., first:last, :].clone())
            pieces.append(piece)
        return [torch.cat(level, dim=-2) for level in zip(*pieces, strict=True)]

    def _reach(self) -> int:
        """Pixels that a feature may see to either side, at most."""
        preset = self._network.preset
        if not preset.unet:
            return int((4 + 4 * preset.blocks) * 2 ** (preset.scales - 1))
        encoder = 3 * preset.stride
        # Two 3×3 convolutions at every level, down and up again, a pooling and an upsampling between.
        return int(encoder + sum(6 * preset.stride * 2**level for level in range(len(preset.widths))))
