"""Training with looks: what is counted, where it ends, and that curvature sees a part of the step's batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.optim.choose import make
from pipeline.optim.fields.fit import PART, fit
from pipeline.optim.fields.image import ImageSignal
from pipeline.optim.fields.signal import part_of

PIXELS = np.random.default_rng(0).uniform(size=(16, 16, 3)).astype(np.float32)


def trained(name: str, steps: int = 60, rate: float | None = None):
    signal = ImageSignal(PIXELS)
    field = signal.field("sine", width=16, depth=2, seed=0)
    optimizer = make(field.parameters(), "sine", name, rate=rate)
    return list(fit(signal, field, optimizer, steps=steps, batch=64, seed=0, looks=(0, 10, steps))), field, signal


@pytest.mark.parametrize(
    ("name", "products"), [("adam", [0, 0, 0]), ("esgd", [0, 10, 51]), ("adahessian_j", [0, 10, 60])]
)
def test_a_look_counts_steps_and_products_and_sees_what_was_learned(name, products):
    looks, field, signal = trained(name)
    assert [look.step for look in looks] == [0, 10, 60] and [look.products for look in looks] == products
    assert looks[0].seconds == 0.0 < looks[1].seconds < looks[2].seconds
    assert looks[2].quality > looks[0].quality and looks[2].quality == signal.quality(field)


def test_looks_change_nothing_that_is_trained():
    _, field, signal = trained("esgd", 20)
    other = signal.field("sine", width=16, depth=2, seed=0)
    optimizer = make(other.parameters(), "sine", "esgd")
    assert list(fit(signal, other, optimizer, steps=20, batch=64, seed=0, looks=())) == []
    assert all(torch.equal(a, b) for a, b in zip(field.parameters(), other.parameters(), strict=True))


def test_a_training_that_diverges_ends_without_further_looks():
    looks, *_ = trained("sgd", 60, rate=1e30)
    assert [look.step for look in looks][-1:] in ([0], [10])


def test_a_part_of_a_batch_is_its_first_samples_and_never_empty():
    batch = (torch.arange(20), torch.arange(20) * 2)
    assert [part.tolist() for part in part_of(batch, PART)] == [[0, 1], [0, 2]]
    assert len(part_of((torch.arange(3),), PART)[0]) == 1
