"""How the networks of the ablations are judged: on whole frames of sequences that neither trained nor chose them.

Figures are of the beauty, exposed as the network's input is, in geometric means over samples per pixel:

    smape     equation 2
    dssim     structural dissimilarity
    blotches  SMAPE of means over blocks of 8×8 pixels: what noise of low frequency is left (Figure 16)
    flicker   DSSIM of adjacent frames, of sequences in which nothing moves (Figure 12)
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.ablation_recipe import COMPONENTS, Corpus, Training, stacked, trained, whole_frame
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.pyramid import downsample
from pipeline.denoise.network.sources import IRRADIANCE, SPECULAR
from pipeline.denoise.training import sequences
from pipeline.denoise.training.batches import Batch
from pipeline.denoise.training.patches import Crop, Sample, assemble, rng_of
from pipeline.denoise.training.stages import forward
from pipeline.images import metrics

__all__ = ["METRICS", "SPP", "Scores", "Trial", "judge", "moments"]

METRICS = ("smape", "dssim", "blotches", "flicker")
SPP = (4, 16, 64)
STILL_SPP = 16
STILL = 1e-3  # pixels
ENDS = 3  # frames on either side of those whose flicker is judged, where there are so many

Scores = dict[str, dict[str, float]]
"""Scene → metric → figure; flicker only of still scenes."""


@dataclass(frozen=True)
class Trial:
    """A network, and the data that it is judged on.

    Attributes:
        training: of the network.
        look: of the data.
        encoder: that the data go through.
        long: whether it is judged on the long sequences, whatever its window.
    """

    training: Training
    look: str = "penumbra"
    encoder: str = "penumbra"
    long: bool = False


def judge(trial: Trial, corpus: Corpus, out: Path, *, spps: Sequence[int] = SPP) -> Scores | None:
    """Figures of a trial, from the training's folder where they are there already; None before the training's end."""
    found = trained(trial.training, out)
    if found is None:
        return None
    length = "long" if trial.long else "short"
    file = out / trial.training.key / f"judged-{trial.look}-{trial.encoder}-{length}-{'-'.join(map(str, spps))}.json"
    if file.exists():
        kept: Scores = json.loads(file.read_text())
        return kept
    scores: Scores = {path.stem: _scores(found[0], trial, path, spps) for path in corpus.judged}
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(scores, indent=1))
    os.replace(temporary, file)
    return scores


def _scores(network: KernelPredictor, trial: Trial, path: Path, spps: Sequence[int]) -> dict[str, float]:
    """Of one scene."""
    settings: dict[str, Any] = {"look": trial.look, "encoder": trial.encoder}
    logs: dict[str, list[float]] = {}
    for spp in spps:
        batch = whole_frame(path, spp, neighbours=trial.training.neighbours, **settings)
        image, reference = _denoised(network, batch), _beauty(batch, batch.reference)
        found = {
            "smape": metrics.smape(_picture(image), _picture(reference)),
            "dssim": metrics.dssim(_picture(image), _picture(reference)),
            "blotches": metrics.smape(_picture(_blocks(image)), _picture(_blocks(reference))),
        }
        for name, value in found.items():
            logs.setdefault(name, []).append(math.log(max(value, 1e-9)))
    scores = {name: math.exp(sum(values) / len(values)) for name, values in logs.items()}
    apart = _flicker(network, trial, sequences.read(path))
    return scores if apart is None else scores | {"flicker": apart}


# --- One frame ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def _denoised(network: KernelPredictor, batch: Batch) -> Tensor:
    """The beauty, 1×3×H×W, exposed."""
    parts = forward(network, batch, temporal=bool(batch.offsets), lambda_=1.0)
    return _beauty(batch, parts.clamp_min(0))


def _beauty(batch: Batch, parts: Tensor) -> Tensor:
    """Components put together over the reference's albedo, exposed: 1×3×H×W of a batch of one sample."""
    of = dict(zip(COMPONENTS, torch.split(parts, 1), strict=True))
    return (of[SPECULAR] + of[IRRADIANCE] * batch.albedo) * batch.exposed[:1]


def _blocks(image: Tensor) -> Tensor:
    """Means over 8×8 pixels."""
    return downsample(downsample(downsample(image)))


def _picture(image: Tensor) -> NDArray[np.float32]:
    """1×3×H×W → H×W×3."""
    picture: NDArray[np.float32] = image[0].permute(1, 2, 0).numpy()
    return picture


# --- Frames in a row ----------------------------------------------------------------------------------------------


def _flicker(network: KernelPredictor, trial: Trial, sequence: sequences.Sequence) -> float | None:
    """Mean DSSIM of adjacent denoised frames; None where something moves."""
    if np.abs(sequence.motion[..., :4]).max() > STILL:
        return None
    images = [
        _picture(_denoised(network, batch))
        for batch in _row(sequence, trial.look, trial.encoder, trial.training.neighbours)
    ]
    return float(np.mean([metrics.dssim(one, other) for one, other in pairwise(images)])) if len(images) > 1 else None


def _row(sequence: sequences.Sequence, look: str, encoder: str, neighbours: Sequence[int]) -> Iterator[Batch]:
    """Consecutive centres of a still scene, away from its ends as far as that is possible."""
    frames, sample = moments(sequence)
    ends = min(ENDS, (len(frames) - 2) // 2)
    radius = max((abs(distance) for distance in neighbours), default=0)
    for centre in range(ends, len(frames) - ends):
        places = {k: centre + k for k in range(-radius, radius + 1)}
        window = {k: frames[place] if 0 <= place < len(frames) else None for k, place in places.items()}
        yield stacked([replace(sample, window=window)], look, encoder, neighbours)


def moments(sequence: sequences.Sequence, spp: int = STILL_SPP) -> tuple[list[Frame], Sample]:
    """The frames of a still scene, every one as often as it has disjoint sets of sub-buffers of so many samples: where
    nothing moves, other samples are as good as another frame.

    Returns:
        the frames in a row, and a sample with the centre's reference.
    """
    crop = Crop(0, 0, min(sequence.shape))
    halves = []
    for chosen in _disjoint([int(n) for n in sequence.spp], spp):
        of = {name: getattr(sequence, name)[:, chosen] for name in ("colour", "rms", "features", "features_rms")}
        part = replace(sequence, spp=sequence.spp[chosen], **of)
        halves.append(assemble(part, rng_of(0, 0, 0), crop, spp=spp))
    frames = []
    for place in range(-sequence.radius, sequence.radius + 1):
        for sample in halves:
            frame = sample.window[place]
            assert frame is not None  # a given number of samples leaves no frame out
            frames.append(frame)
    return frames, halves[0]


def _disjoint(spp: Sequence[int], samples: int) -> list[list[int]]:
    """Sets of sub-buffers without one in common, each of so many samples; small sets first."""
    left, found = set(range(len(spp))), []
    for size in range(1, len(spp) + 1):
        for chosen in combinations(range(len(spp)), size):
            if left.issuperset(chosen) and sum(spp[k] for k in chosen) == samples:
                found.append(list(chosen))
                left -= set(chosen)
    return found
