"""The matching benchmark: its meshes, its trials, and the cost of a failure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.match_methods import METHODS
from benchmarks.match_tasks import boxes, quad
from benchmarks.match_trials import kept, run, trials
from benchmarks.match_tuning import tuned
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
    made = kept(quad(), BY_KEY["HVPA"], 4.0, 0, tmp_path)
    evaluations, reached = made.cost(0.99, "parameter", 0)
    assert reached and evaluations < 400 and made.error < 1e-3
    assert kept(quad(), BY_KEY["HVPA"], 4.0, 0, tmp_path) == made and len(list(tmp_path.iterdir())) == 1


def test_all_methods_are_tried_from_one_start_before_the_next(tmp_path):
    task = dataclasses.replace(quad(), evaluations=40)
    found = [(each.seed, each.method) for each in trials(task, [BY_KEY["FD"], BY_KEY["H"]], range(2), tmp_path)]
    assert found == [(0, "FD"), (0, "H"), (1, "FD"), (1, "H")]


def test_a_failure_counts_its_budget_also_where_it_ended_early():
    task = dataclasses.replace(quad(), evaluations=40)
    made = run(task, BY_KEY["SPSA"], 0.1, 0)
    assert made.cost(0.999, "parameter", 0) == (40.0, False)

    def broken(points, seed):
        return np.where(calls.append(0) or len(calls) > 5, np.nan, quad().loss(points, seed))

    calls: list[int] = []
    early = run(dataclasses.replace(quad(), loss=broken, evaluations=4000), BY_KEY["FD"], 0.1, 0)
    assert "not a number" in early.reason
    assert early.cost(0.99, "parameter", 1) == (4000 / 4, False)  # four evaluations a gradient


def test_the_number_that_needs_the_fewest_evaluations_is_chosen(tmp_path):
    number, tried = tuned(dataclasses.replace(quad(), evaluations=800), BY_KEY["FR22"], 2, tmp_path)
    costs = {each["number"]: each["evaluations"] for each in tried}
    assert costs[number] == min(costs.values()) and len(costs) == 6
