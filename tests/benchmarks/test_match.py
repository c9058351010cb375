"""The matching benchmark: its meshes, its trials, and the cost of a failure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.match_methods import METHODS
from benchmarks.match_tasks import boxes, quad
from benchmarks.match_trials import run, trials
from benchmarks.scenes.match_meshes import hare, mug

BY_KEY = {method.key: method for method in METHODS}


@pytest.mark.parametrize("make", [mug, hare])
def test_meshes_face_outwards(make):
    vertices, faces = make()
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 > 0.05  # signed volume
    assert faces.max() < len(vertices) and (np.ptp(vertices, axis=0) < 1.6).all()


def test_no_box_overlaps_its_place_at_the_start():
    task = boxes(5)
    for seed in range(5):
        off = np.abs((task.start(seed) - task.truth).reshape(-1, 2)).max(axis=1)
        assert (off > 0.2).all()
    assert task.error(task.truth) == 0.0


def test_a_trial_counts_from_where_the_error_stays_below_and_is_kept(tmp_path):
    (made,) = trials(quad(), [BY_KEY["HVPA"]], [0], tmp_path)
    evaluations, reached = made.cost(0.99, "parameter", 0)
    assert reached and evaluations < 400 and made.error < 1e-3
    (again,) = trials(quad(), [BY_KEY["HVPA"]], [0], tmp_path)
    assert again == made and len(list(tmp_path.iterdir())) == 1


def test_a_failure_counts_its_budget():
    import dataclasses

    task = dataclasses.replace(quad(), evaluations=40)
    made = run(task, BY_KEY["SPSA"], 0)
    assert made.cost(0.999, "parameter", 0) == (40.0, False)
