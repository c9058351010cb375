"""The modular schedule: what is trained when, and on which loss.

Source: Vogels et al. 2018, §3.3 and §4.3 (modules trained on locked ones); §9.2 (a light network end to end).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.denoise.network.gather import gather_nearest, nearest_index
from pipeline.denoise.network.loss import asymmetric_smape
from pipeline.denoise.network.model import KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR
from pipeline.denoise.network.specialisation import log_lambda
from pipeline.denoise.training.batches import Batch

__all__ = ["STAGES", "Stage", "forward", "losses", "random_lambda", "trainable"]

COMPONENT_WEIGHT = 0.3
"""Of each component's loss beside the beauty's."""


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
                plane = nn.functional.adaptive_avg_pool2d(plane, (features.shape[-2], features.shape[-1]))
            levels.append(plane.reshape(1, 1, 1, 1) if plane.dim() == 0 else plane)
        return network.reconstruct(window, images, levels, batch.exposed)


def losses(batch: Batch, denoised: Tensor, lambda_: Tensor | float) -> dict[str, Tensor]:
    """Mean asymmetric SMAPE of the recombined beauty and of each component, in exposed units (equation 6).

    Each loss weighs pixels alike. `total` is what is minimised.
    """
    size = len(batch.albedo)
    parts = dict(zip(batch.components, torch.split(denoised, size), strict=True))
    references = dict(zip(batch.components, torch.split(batch.reference, size), strict=True))
    inputs = dict(zip(batch.components, torch.split(batch.colour[:, 0], size), strict=True))
    exposed = batch.exposed[:size]
    lam = lambda_[:size] if isinstance(lambda_, Tensor) and lambda_.dim() == 4 else lambda_

    def whole(of: dict[str, Tensor]) -> Tensor:
        light = of[SPECULAR] * exposed
        return light + of[IRRADIANCE] * batch.albedo * exposed if IRRADIANCE in of else light

    found = {"beauty": asymmetric_smape(whole(parts), whole(references), whole(inputs), lam).mean()}
    for name, part in parts.items():
        scale = 1.0 if name == ALBEDO else exposed
        found[name] = asymmetric_smape(part * scale, references[name] * scale, inputs[name] * scale, lam).mean()
    found["total"] = found["beauty"] + COMPONENT_WEIGHT * torch.stack([found[name] for name in parts]).sum()
    return found
