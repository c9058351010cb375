"""From prepared photographs to maps: by the networks, by descent, or by the networks and then descent.

| photographs | what is done |
| --- | --- |
| one | R_T of the networks |
| N, and weights for N | the same, with a gradient of each photograph |
| N, weights for one | R_T of the most frontal photograph; light and view of all refined; descent on all of them |

`descent` needs no weights: it begins with the homogeneous material that explains the highlight, and descends from
coarse to fine, held to it by a prior.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.capture.descent import Prior, coarse_to_fine, descend, resized
from pipeline.capture.flash import srgb
from pipeline.capture.large import estimate
from pipeline.capture.likelihood import SATURATED, Photographs
from pipeline.capture.maps import albedo_unknowns, decode, encode
from pipeline.capture.network.initialiser import first_guess
from pipeline.capture.network.model import Capturer
from pipeline.capture.photo.highlight import Highlight
from pipeline.capture.places import refined
from pipeline.capture.shading import Shot, grid, irradiance, render

__all__ = ["Fit", "by_descent", "by_network", "reconstruction_error"]

EXTRA_RATE = 0.02
JOINT_STEPS = 120  # of descent on several photographs, after a network for one
DESCENT_STEPS = 50  # of descent without a network, at the finest level

GLINT, LIT = 2.0, 0.02
"""A texel that is so many times as bright as the median, where the highlight has more than this share of its peak, is
no diffuse one."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fit:
    """A material, found.

    Attributes:
        unknowns: 1×9×H×W.
        shot: light and camera of the photographs, as refined.
        error: RMSE of the sRGB-encoded, clipped re-renders against the photographs.
        method: `network`, `network and descent`, `descent`.
        seconds: that it took.
    """

    unknowns: Tensor
    shot: Shot
    error: float
    method: str
    seconds: float


def by_network(network: Capturer, photographs: Photographs, *, extra: int = 0, say: Say = lambda line: None) -> Fit:
    """The paper's method.

    Args:
        network: for as many photographs as are given, or for one.
        extra: steps of descent afterwards, held to the network's answer.
        say: told of progress.
    """
    began = time.monotonic()
    count = photographs.shot.count

    def tile(done: int, of: int) -> None:
        say(f"tile {done} of {of}")

    method = "network"
    if network.photographs == count:
        unknowns = estimate(network, photographs, on_tile=tile)
    else:
        unknowns = estimate(network, _only(photographs, _most_frontal(photographs.shot)), on_tile=tile)
        say(f"light and view of {count} photographs")
        broad, shot = refined(unknowns, photographs)
        photographs = replace(photographs, shot=shot)
        unknowns = _with_broad(unknowns, broad)
        extra, method = max(extra, JOINT_STEPS), "network and descent"
    if extra:
        say(f"descent, {extra} steps")
        method = "network and descent"
        unknowns = descend(unknowns, photographs, steps=extra, rate=EXTRA_RATE, prior=Prior(unknowns))
    return _fit(unknowns, photographs, method, began)


def by_descent(
    photographs: Photographs,
    highlights: Sequence[Highlight],
    *,
    steps: int = DESCENT_STEPS,
    say: Say = lambda line: None,
) -> Fit:
    """Without weights: what a user gets before any were trained.

    Args:
        highlights: of the photographs; the one that is believed most gives the first estimate.
        steps: at the finest level.
    """
    began = time.monotonic()
    start, matt = homogeneous(photographs, max(highlights, key=lambda each: each.confidence * each.gloss))
    if photographs.shot.count > 1:
        say(f"light and view of {photographs.shot.count} photographs")
        broad, shot = refined(start, photographs)
        photographs = replace(photographs, shot=shot)
        start = _with_broad(start, broad)
    say(f"descent, {steps} steps at the finest level")
    return _fit(coarse_to_fine(start, photographs, steps=steps, matt=matt), photographs, "descent", began)


def homogeneous(photographs: Photographs, highlight: Highlight) -> tuple[Tensor, Tensor]:
    """The first estimate of descent: 1×9×H×W, and the share of the light that is no highlight, 1×1×H×W.

    Gloss and roughness are those of the highlight's fit everywhere, the surface is flat, and the diffuse albedo is what
    explains the rest of the light; where little is left, that of the surroundings.
    """
    guess = first_guess(photographs)
    one = guess[:, :1]
    specular = albedo_unknowns(torch.full_like(one, min(max(highlight.specular, 0.02), 0.9))).expand(-1, 3, -1, -1)
    rough = encode(replace(decode(guess), roughness=torch.full_like(one, highlight.roughness)))[:, 8:9]
    start = torch.cat([guess[:, :3], specular, guess[:, 6:8], rough], 1)
    shiny = render(replace(decode(start), diffuse=torch.zeros_like(guess[:, :3])), photographs.shot)
    left = (photographs.pixels - shiny).clamp(min=0.0)
    share = (left / photographs.pixels.clamp(min=1e-3)).mean(2)  # 1×N×H×W
    apparent = left / irradiance(photographs.shot, grid(*one.shape[-2:], device=one.device)).clamp(min=1e-4)
    grey, lobe = apparent.mean(2), shiny.mean(2)
    glint = (grey > GLINT * grey.median()) & (lobe > LIT * lobe.amax())
    share = torch.where((photographs.pixels >= SATURATED).any(2) | glint, 0.0, share)
    best = share.argmax(1, keepdim=True)  # of several photographs, the one without a highlight there
    matt = share.gather(1, best)
    albedo = apparent.gather(1, best[:, :, None].expand(-1, -1, 3, -1, -1))[:, 0]
    trust = matt**4 + 1e-9
    around = _broad(albedo * trust) / _broad(trust)
    diffuse = matt**2 * albedo + (1 - matt**2) * around
    return torch.cat([albedo_unknowns(diffuse.clamp(0.0025, 0.9)), start[:, 3:]], 1), matt


def _broad(values: Tensor) -> Tensor:
    """Blurred over a third of the image."""
    height, width = values.shape[-2:]
    small = F.interpolate(values, (24, max(1, round(24 * width / height))), mode="area")
    for _ in range(8):
        small = F.avg_pool2d(F.pad(small, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)


@torch.no_grad()
def reconstruction_error(unknowns: Tensor, photographs: Photographs) -> float:
    """RMSE of the sRGB-encoded, clipped re-renders of the photographs."""
    seen = render(decode(unknowns), photographs.shot).clamp(0, 1)
    return float(((srgb(seen) - srgb(photographs.pixels.clamp(0, 1))) ** 2).mean().sqrt())


def _fit(unknowns: Tensor, photographs: Photographs, method: str, began: float) -> Fit:
    error = reconstruction_error(unknowns, photographs)
    return Fit(unknowns, photographs.shot, error, method, time.monotonic() - began)


def _only(photographs: Photographs, index: int) -> Photographs:
    return Photographs(photographs.pixels[:, index : index + 1], photographs.shot.view(index))


def _most_frontal(shot: Shot) -> int:
    """Number of the photograph whose camera is nearest to the patch's axis."""
    aside = shot.camera[0, :, :2].norm(dim=-1) / shot.camera[0, :, 2]
    return int(aside.argmin())


def _with_broad(unknowns: Tensor, broad: Tensor) -> Tensor:
    """Fine unknowns whose coarse part is replaced."""
    coarse, size = (broad.shape[-2], broad.shape[-1]), (unknowns.shape[-2], unknowns.shape[-1])
    return unknowns + resized(broad - resized(unknowns, coarse), size)
