"""The modular schedule: what is trained when, and on which loss.

Source: Vogels et al. 2018, §3.3 and §4.3 (modules trained on locked ones); §9.2 (a light network end to end).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.denoise.network.gather import gather_nearest, nearest_index
from pipeline.denoise.network.loss import asymmetric_smape, smape
from pipeline.denoise.network.model import KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR
from pipeline.denoise.network.specialisation import log_lambda
from pipeline.denoise.training.batches import Batch

__all__ = ["STAGES", "Stage", "forward", "losses", "random_lambda", "trainable"]

COMPONENT_WEIGHT = 0.3
"""Of each component's loss beside the beauty's."""

MIDDLE, LOW = (4, 0.5), (16, 0.5)
"""Blocks of so many pixels a side whose means are compared as well, and the weight of that beside the pixels' loss.

SMAPE of pixels alone forgives what the eye does not: blotches, which are small in every pixel, and light that is
missing evenly, since what minimises it is nearer to the median than to the mean of what a pixel may be. The larger
blocks are compared with renders that were not denoised, whose means are true.
"""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as `--stage` says it.
        trains: prefixes of the parameters that are trained; the others are locked.
        temporal: whether neighbours are seen.
        asymmetric: whether λ is random, per pixel.
    """

    name: str
    trains: tuple[str, ...]
    temporal: bool
    asymmetric: bool


HEADS = ("centre_heads.", "neighbour_heads.")

STAGES = {
    stage.name: stage
    for stage in (
        Stage("single", ("encoders.", "extractor.", "centre_heads.", "compositing."), False, False),
        Stage("temporal", ("temporal.", *HEADS, "compositing."), True, False),
        Stage("lambda", ("specialisation.",), True, True),
        Stage("encoder", ("encoders.",), True, False),
    )
}
"""`single`: one frame, all scales at once. `temporal`: the comparison of frames, on locked features. `lambda`: the loss
specialisation. `encoder`: a new source, everything else locked (§3.2)."""


def trainable(network: KernelPredictor, stage: Stage, sources: Collection[str]) -> list[nn.Parameter]:
    """Locks what the stage does not train, and returns the rest; of encoders, those of `sources`."""
    chosen = []
    for name, parameter in network.named_parameters():
        wanted = name.startswith(stage.trains)
        if name.startswith("encoders."):
            wanted = wanted and name.split(".")[1] in sources
        parameter.requires_grad_(wanted)
        if wanted:
            chosen.append(parameter)
    return chosen


def random_lambda(batch: Batch, rows: int, generator: torch.Generator) -> Tensor:
    """λ per pixel, log λ uniform in [0, log 10] (§4.3), rows×1×H×W: independent from pixel to pixel in a third of the
    samples, one number a sample in another third, 1 in the last; components of a sample share it."""
    height, width = batch.colour.shape[-2:]
    count = rows // len(batch.components)
    each = torch.rand(count, 1, height, width, generator=generator)
    one = torch.rand(count, 1, 1, 1, generator=generator).expand_as(each)
    kind = torch.randint(3, (count, 1, 1, 1), generator=generator)
    log10 = torch.where(kind == 0, each, torch.where(kind == 1, one, torch.zeros_like(each)))
    return (10.0**log10).repeat(len(batch.components), 1, 1, 1)


def forward(network: KernelPredictor, batch: Batch, *, temporal: bool, lambda_: Tensor | float) -> Tensor:
    """The denoised components, kB×3×H×W float32; with `lambda_` as for `random_lambda`."""
    frames = 1 + len(batch.offsets) if temporal else 1
    device = batch.colour.device
    bf16 = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with torch.autocast(device.type, torch.bfloat16, enabled=bool(bf16)):
        rows = batch.colour.shape[0]
        if any(p.requires_grad for p in network.encoders.parameters()):
            spatial = [network.extract(x, batch.source) for x in batch.inputs[:frames]]
        else:
            with torch.no_grad():
                together = network.extract(torch.cat(batch.inputs[:frames]), batch.source)
                spatial = [[level[k * rows : (k + 1) * rows] for level in together] for k in range(frames)]
        neighbours, aligned, masks = [], [batch.colour[:, 0]], [torch.ones_like(batch.colour[:, 0, :1])]
        for k in range(1, frames):
            index, found = nearest_index(batch.offsets[k - 1], batch.valid[k - 1], 1)
            aligned.append(gather_nearest(batch.colour[:, k], index))
            masks.append(found[:, None].float())
            gathered, valid = [], []
            for level, features in enumerate(spatial[k]):
                index, found = nearest_index(batch.offsets[k - 1], batch.valid[k - 1], network.stride(level))
                gathered.append(gather_nearest(features, index))
                valid.append(found[:, None].float())
            neighbours.append(Neighbour(gathered, valid, batch.distances[k - 1]))
        window = network.compare(spatial[0], neighbours)
        images = image_pyramid(torch.stack(aligned, dim=1), torch.cat(masks, dim=1), network.preset.scales)
        levels = []
        for features in spatial[0]:
            plane = log_lambda(lambda_)
            if plane.dim() == 4:
                plane = F.adaptive_avg_pool2d(plane, (features.shape[-2], features.shape[-1]))
            levels.append(plane.reshape(1, 1, 1, 1) if plane.dim() == 0 else plane)
        return network.reconstruct(window, images, levels, batch.exposed)


def losses(batch: Batch, denoised: Tensor, lambda_: Tensor | float) -> dict[str, Tensor]:
    """Mean asymmetric SMAPE of the recombined beauty and of each component, in exposed units (equation 6).

    Each loss weighs pixels alike. `blocks` is SMAPE of the means of blocks, λ or no λ; `total` is what is minimised.
    """
    size = len(batch.albedo)
    exposed = batch.exposed[:size]
    lam = lambda_[:size] if isinstance(lambda_, Tensor) and lambda_.dim() == 4 else lambda_

    def images(stacked: Tensor) -> dict[str, Tensor]:
        """The beauty and each component, B×3×H×W."""
        parts = dict(zip(batch.components, torch.split(stacked, size), strict=True))
        beauty = parts[SPECULAR] * exposed
        if IRRADIANCE in parts:
            beauty = beauty + parts[IRRADIANCE] * batch.albedo * exposed
        scaled = {name: part if name == ALBEDO else part * exposed for name, part in parts.items()}
        return {"beauty": beauty, **scaled}

    def weighted(of: dict[str, Tensor]) -> Tensor:
        return of["beauty"] + COMPONENT_WEIGHT * torch.stack([of[name] for name in batch.components]).sum()

    d, r, c = images(denoised), images(batch.reference), images(batch.colour[:, 0])
    found = {name: asymmetric_smape(d[name], r[name], c[name], lam).mean() for name in d}
    coarse = torch.zeros((), device=denoised.device)
    for (block, weight), target in ((MIDDLE, r), (LOW, images(batch.raw))):
        means = {
            name: smape(F.avg_pool2d(d[name], block, ceil_mode=True), F.avg_pool2d(target[name], block, ceil_mode=True))
            for name in d
        }
        coarse = coarse + weight * weighted({name: each.mean() for name, each in means.items()})
    found["total"] = weighted(found) + coarse
    found["blocks"] = coarse
    return found
