"""Claims of the render benchmark that a few seconds can check."""

from __future__ import annotations

import pytest

from benchmarks import render
from benchmarks.render_subjects import ANIMATED, subjects
from benchmarks.results import Results
from pipeline.device import set_variant


@pytest.fixture
def results() -> Results:
    set_variant("llvm_ad_rgb")
    return Results("render", "title", "about", quick=True)


@pytest.mark.slow
def test_the_sample_shots_motion_vectors_hold(results: Results) -> None:
    with subjects(theirs=()) as found:
        render.motion(results, found[ANIMATED])
    assert {row.key: row.holds for row in results.rows} == {"motion.frame": True, "motion.ball": True}


def test_levels_keep_what_one_scale_loses(results: Results) -> None:
    render.fixed_point(results)
    (row,) = results.rows
    assert row.value is not None and row.value < 1e-5
