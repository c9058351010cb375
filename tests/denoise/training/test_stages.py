"""The losses: what they weigh, and that means of blocks are among it."""

from __future__ import annotations

import pytest
import torch

from pipeline.denoise.network.sources import IRRADIANCE, SPECULAR
from pipeline.denoise.training.batches import Batch
from pipeline.denoise.training.stages import losses


def batch_of_light(reference: torch.Tensor, raw: torch.Tensor) -> Batch:
    """Two components of one sample without neighbours."""
    size = reference.shape[-1]
    return Batch(
        source="penumbra",
        components=(IRRADIANCE, SPECULAR),
        inputs=[],
        colour=reference[:, None],
        offsets=[],
        valid=[],
        distances=[],
        exposed=torch.ones(2, 1, 1, 1),
        reference=reference,
        raw=raw,
        albedo=torch.ones(1, 3, size, size),
    )


@pytest.fixture
def light() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.5


def test_the_reference_itself_costs_nothing(light: torch.Tensor) -> None:
    found = losses(batch_of_light(light, light), light, 1.0)

    assert float(found["total"]) == pytest.approx(0.0, abs=1e-6)


def test_noise_that_averages_out_costs_pixels_but_not_blocks(light: torch.Tensor) -> None:
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1.0

    found = losses(batch_of_light(light, light), light + 0.2 * checks, 1.0)

    assert float(found["beauty"]) > 0.05
    assert float(found["blocks"]) < 0.01 * float(found["total"])


def test_the_largest_blocks_answer_to_the_raw_renders(light: torch.Tensor) -> None:
    brighter = losses(batch_of_light(light, 1.1 * light), light, 1.0)

    assert float(brighter["beauty"]) == pytest.approx(0.0, abs=1e-6)
    assert float(brighter["blocks"]) == pytest.approx(0.5 * (1 + 2 * 0.3) * 0.1 / 2.1, rel=0.05)


def test_what_is_minimised_is_the_sum_of_its_parts(light: torch.Tensor) -> None:
    found = losses(batch_of_light(light, light), 1.3 * light, 1.0)

    pixels = found["beauty"] + 0.3 * (found[IRRADIANCE] + found[SPECULAR])
    assert float(found["total"]) == pytest.approx(float(pixels + found["blocks"]), rel=1e-5)
