"""The planner against a simulated farm: names in a set, and facts that follow from what each frame needs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import FarmError, ProductError
from pipeline.farm import names, plan
from pipeline.farm.control import ControlState
from pipeline.farm.job import Job, Rehearsal, Replay
from pipeline.farm.plan import JobPlan


class Simulation:
    """Products of a job whose frame f is rendered up to round `stops[f]`."""

    def __init__(self, stops: Mapping[int, int], *, slices: int = 2, there: Iterable[str] = ()) -> None:
        self.stops, self.slices_of_a_round = stops, slices
        self.there = set(there)
        self.reads: dict[str, list[str]] = {}
        self.going: dict[str, list[int]] = {}

    def exists(self, name: str) -> bool:
        return name in self.there

    def facts(self, name: str) -> Mapping[str, Any]:
        if name not in self.there:
            raise ProductError(f"{name} is gone")
        parsed = names.parse(name)
        if parsed.kind == "samples":
            assert parsed.frame is not None and parsed.round is not None
            return {"slices": 0 if parsed.round > self.stops[parsed.frame] else self.slices_of_a_round}
        if parsed.kind == "stop":
            assert parsed.frame is not None
            return {"round": self.stops[parsed.frame]}
        if parsed.kind == "report":
            return {"frames": [f for f in self.stops if f"frames/{f}" in self.there]}
        if parsed.kind == "budget":
            return {"going": self.going[name]}
        return {}

    def make(self, job: JobPlan, task: str) -> None:
        """Does a task, which must find all of its inputs."""
        read = plan.inputs(job, task, self)
        assert read is not None, f"{task} was started without a known list of inputs"
        lacking = [name for name in read if name not in self.there]
        assert not lacking, f"{task} was started without {lacking}"
        self.reads[task] = read
        self.there.add(task)
        made = names.parse(task)
        if made.kind == "budget" and made.round is not None:
            compared = sorted({f for name in read if (f := names.parse(name).frame) is not None})
            self.going[task] = [f for f in compared if self.stops[f] >= made.round]


@st.composite
def farms(draw: st.DrawFn) -> tuple[JobPlan, Simulation, random.Random]:
    frames = tuple(range(1001, 1001 + draw(st.integers(1, 6))))
    rounds = draw(st.integers(1, 4))
    stops = {frame: draw(st.integers(0, rounds - 1)) for frame in frames}
    radius, every_round = draw(st.integers(0, 3)), draw(st.booleans())
    drafts = draw(st.none() | st.integers(0, radius - 1)) if every_round and radius else None
    job = JobPlan(frames, rounds, radius, every_round=every_round, draft_radius=drafts, budget=draw(st.booleans()))
    return job, Simulation(stops, slices=draw(st.integers(1, 3))), random.Random(draw(st.integers(0, 2**32)))


def run(job: JobPlan, view: Simulation) -> None:
    while tasks := plan.runnable(job, view):
        view.make(job, tasks[0])


def one_frame(*there: str, stop: int = 1, rounds: int = 3) -> tuple[JobPlan, Simulation]:
    return JobPlan((1001,), rounds), Simulation({1001: stop}, there=there)


@settings(max_examples=150, deadline=None)
@given(farms())
def test_the_increments_and_the_whole_plan_agree_in_any_order_of_execution(
    farm: tuple[JobPlan, Simulation, random.Random],
) -> None:
    job, view, chance = farm
    pool = set(plan.runnable(job, view))
    while pool:
        task = chance.choice(sorted(pool))
        view.make(job, task)
        pool.discard(task)
        pool.update(plan.after(job, task, view))
        assert pool == set(plan.runnable(job, view)), f"after {task}"

    assert plan.is_done(job, view)


@settings(max_examples=150, deadline=None)
@given(farms())
def test_random_losses_and_doubles_are_healed(farm: tuple[JobPlan, Simulation, random.Random]) -> None:
    job, view, chance = farm
    pool = plan.runnable(job, view)
    losses = 0
    while pool:
        task = chance.choice(pool)
        view.make(job, task)
        if chance.random() < 0.15 and losses < 30:
            losses += 1
            view.there.discard(chance.choice(sorted(view.there)))
        pool = plan.runnable(job, view)
        if task in view.there:
            assert set(plan.after(job, task, view)) <= set(pool)

    assert plan.is_done(job, view)


@settings(max_examples=100, deadline=None)
@given(farms(), st.data())
def test_a_finished_job_makes_again_only_what_its_goals_need(
    farm: tuple[JobPlan, Simulation, random.Random], data: st.DataObject
) -> None:
    job, view, _ = farm
    run(job, view)
    lost = data.draw(st.sets(st.sampled_from(sorted(view.there)), max_size=5))
    view.there -= lost
    goals = {names.frame_product(frame) for frame in job.frames} | {names.REPORT}

    if not lost & goals:
        assert plan.runnable(job, view) == []
    run(job, view)
    assert goals <= view.there


@settings(max_examples=150, deadline=None)
@given(farms())
def test_poison_ends_in_absent_frames_and_the_rest_is_finished(farm: tuple[JobPlan, Simulation, random.Random]) -> None:
    job, view, chance = farm
    while True:
        pool = plan.runnable(job, view)
        for frame, task in plan.unmakeable(job, view).items():
            assert names.parse(task).frame in (frame, None)  # its own, or a budget that it waits for
            view.there.add(names.absent(frame))
            assert set(plan.after(job, names.absent(frame), view)) <= set(plan.runnable(job, view))
            pool = plan.runnable(job, view)
        if not pool:
            break
        task = chance.choice(pool)
        if task != names.REPORT and chance.random() < 0.05:
            view.there.add(names.failure(task))
        else:
            view.make(job, task)

    assert plan.is_done(job, view)
    for frame in job.frames:
        assert view.exists(names.frame_product(frame)) or view.exists(names.absent(frame))


@settings(max_examples=100, deadline=None)
@given(farms())
def test_what_a_task_reads_does_not_depend_on_the_order(farm: tuple[JobPlan, Simulation, random.Random]) -> None:
    job, view, chance = farm
    run(job, view)
    other = Simulation(view.stops, slices=view.slices_of_a_round)
    while pool := plan.runnable(job, other):
        other.make(job, chance.choice(pool))

    assert other.reads == view.reads


def test_a_job_starts_with_the_samples_of_every_frame() -> None:
    job, view = JobPlan((1003, 1001, 1002), 2), Simulation({})

    assert plan.runnable(job, view) == ["samples/1003/r00", "samples/1001/r00", "samples/1002/r00"]


def test_a_slice_plan_starts_its_slices() -> None:
    # T: samples
    job, view = one_frame("samples/1001/r00")

    assert plan.after(job, "samples/1001/r00", view) == ["passes/1001/r00.s00", "passes/1001/r00.s01"]


def test_the_last_slice_starts_the_sum() -> None:
    # T: passes
    job, view = one_frame("samples/1001/r00", "passes/1001/r00.s01")
    assert plan.after(job, "passes/1001/r00.s01", view) == []

    view.there.add("passes/1001/r00.s00")
    assert plan.after(job, "passes/1001/r00.s00", view) == ["buffers/1001/r00"]


def test_the_sum_starts_the_error_without_a_denoiser_between() -> None:
    # T: buffers → error
    job, view = one_frame("samples/1001/r00", "buffers/1001/r00")

    assert plan.after(job, "buffers/1001/r00", view) == ["rounds/1001/r00/error"]


def test_a_guide_that_looks_at_the_denoised_picture_has_every_round_denoised() -> None:
    # T: buffers → denoised → error
    view = Simulation({1001: 1}, there=["samples/1001/r00", "buffers/1001/r00"])
    job = JobPlan((1001,), 3, every_round=True)
    assert plan.after(job, "buffers/1001/r00", view) == ["rounds/1001/r00/denoised"]

    view.there.add("rounds/1001/r00/denoised")
    assert plan.after(job, "rounds/1001/r00/denoised", view) == ["rounds/1001/r00/error"]


def test_the_error_starts_the_next_samples() -> None:
    # T: error → samples
    job, view = one_frame("samples/1001/r00", "buffers/1001/r00", "rounds/1001/r00/error")

    assert plan.after(job, "rounds/1001/r00/error", view) == ["samples/1001/r01"]


def test_a_plan_without_slices_starts_the_stop_and_the_stop_the_last_denoise() -> None:
    # T: samples → stop → denoised → frames → report
    job, view = one_frame("samples/1001/r00", "buffers/1001/r00", "rounds/1001/r00/error", "samples/1001/r01", stop=0)
    chain = ["samples/1001/r01", "stop/1001", "rounds/1001/r00/denoised", "frames/1001", "report"]
    for done, following in pairwise(chain):
        view.there.add(done)
        assert plan.after(job, done, view) == [following]


def shared(*frames: int, rounds: int = 3, **stops: int) -> tuple[JobPlan, Simulation]:
    """A job with a budget after the first errors of its frames but the last one's."""
    job = JobPlan(frames, rounds, budget=True)
    view = Simulation({frame: stops.get(f"f{frame}", rounds - 1) for frame in frames}, slices=1)
    while tasks := [task for task in plan.runnable(job, view) if task != f"rounds/{frames[-1]}/r00/error"]:
        view.make(job, tasks[0])
    return job, view


def test_the_last_error_of_a_round_starts_the_budget_and_the_budget_all_samples() -> None:
    # T: error → budget → samples
    job, view = shared(1001, 1002, 1003)
    assert not any(name.startswith(("budget", "samples/1001/r01")) for name in view.there)

    view.there.add("rounds/1003/r00/error")
    assert plan.after(job, "rounds/1003/r00/error", view) == ["budget/r01"]
    view.make(job, "budget/r01")
    assert plan.after(job, "budget/r01", view) == ["samples/1001/r01", "samples/1002/r01", "samples/1003/r01"]
    assert view.reads["budget/r01"] == [
        "samples/1001/r00", "rounds/1001/r00/error", "samples/1002/r00", "rounds/1002/r00/error",
        "samples/1003/r00", "rounds/1003/r00/error",
    ]  # fmt: skip


def test_a_budget_compares_the_frames_that_the_one_before_let_go_on() -> None:
    job, view = shared(1001, 1002, 1003, f1001=0)
    run(job, view)

    assert view.reads["samples/1002/r02"] == [
        "rounds/1002/r01/error", "samples/1002/r00", "samples/1002/r01", "budget/r02",
    ]  # fmt: skip
    assert view.reads["budget/r02"] == [
        "budget/r01", "samples/1002/r01", "rounds/1002/r01/error", "samples/1003/r01", "rounds/1003/r01/error",
    ]  # fmt: skip


def test_a_budget_goes_on_without_an_absent_frame_and_without_a_skipped_one() -> None:
    job, view = shared(1001, 1002)
    view.there.add("absent/1002")
    assert plan.after(job, "absent/1002", view) == ["budget/r01"]
    assert plan.inputs(job, "budget/r01", view) == ["samples/1001/r00", "rounds/1001/r00/error"]

    job, view = shared(1001, 1002)
    fewer = JobPlan((1001,), 3, budget=True, skipped=frozenset({1002}))
    assert plan.runnable(fewer, view) == ["budget/r01"]


def test_a_frame_that_was_given_up_and_tried_again_reads_the_budget_that_left_it_out() -> None:
    job, view = shared(1001, 1002)
    view.there |= {"absent/1002"}
    view.make(job, "budget/r01")
    view.there -= {"absent/1002"}
    view.make(job, "rounds/1002/r00/error")

    assert plan.after(job, "rounds/1002/r00/error", view) == ["samples/1002/r01"]
    run(job, view)
    assert plan.is_done(job, view)
    assert not any("1002" in name for name in view.reads["budget/r02"])


def test_frames_that_wait_for_a_parked_budget_cannot_be_made() -> None:
    job, view = shared(1001, 1002, 1003)
    view.there |= {"rounds/1003/r00/error", "failures/budget/r01", "frames/1001"}

    assert plan.runnable(job, view) == []
    assert plan.unmakeable(job, view) == {1002: "budget/r01", 1003: "budget/r01"}


def test_what_one_frame_lost_and_a_lost_budget_needs_is_still_wanted() -> None:
    job, view = shared(1001, 1002)
    run(job, view)
    view.there -= {"budget/r01", "samples/1002/r01", "buffers/1002/r02", "frames/1002", "rounds/1001/r00/error"}
    view.there -= {"passes/1002/r01.s00", "buffers/1002/r01"}

    assert "rounds/1001/r00/error" in plan.runnable(job, view)
    assert plan.wanted(job, "rounds/1001/r00/error", view)
    assert not plan.wanted(job, "rounds/1001/r01/denoised", view)


def test_a_budget_comes_before_all_else_and_the_report_last() -> None:
    job = JobPlan((1001, 1002), 3, budget=True)
    tasks = ["report", "stop/1001", "budget/r01", "passes/1002/r00.s00"]

    assert sorted(tasks, key=lambda task: plan.order(job, task)) == [
        "budget/r01", "stop/1001", "passes/1002/r00.s00", "report",
    ]  # fmt: skip


def test_one_finished_slice_does_not_look_at_the_other_frames_of_a_budget() -> None:
    frames = tuple(range(1001, 1201))
    asked: list[str] = []

    class Watched(Simulation):
        def exists(self, name: str) -> bool:
            asked.append(name)
            return super().exists(name)

    job, view = JobPlan(frames, 3, budget=True), Watched(dict.fromkeys(frames, 2), slices=1)
    view.there |= {name for frame in frames for name in (names.samples(frame, 0), names.passes(frame, 0, 0))}
    view.there.add("buffers/1001/r00")

    assert plan.after(job, "buffers/1001/r00", view) == ["rounds/1001/r00/error"]
    view.there.add("rounds/1001/r00/error")
    assert plan.after(job, "rounds/1001/r00/error", view) == []
    assert len(asked) < 60


def test_a_window_reads_each_neighbour_up_to_where_it_stopped() -> None:
    stops = {1001: 2, 1002: 1, 1003: 0, 1004: 2}
    job, view = JobPlan(tuple(stops), 3, radius=1), Simulation(stops)
    run(job, view)

    assert view.reads["rounds/1001/r02/denoised"] == ["buffers/1001/r02", "buffers/1002/r01"]
    assert view.reads["rounds/1002/r01/denoised"] == ["buffers/1001/r01", "buffers/1002/r01", "buffers/1003/r00"]
    assert view.reads["rounds/1003/r00/denoised"] == ["buffers/1002/r00", "buffers/1003/r00", "buffers/1004/r00"]
    assert plan.window(job, 1004, 2, view) == {1003: "buffers/1003/r00", 1004: "buffers/1004/r02"}


def test_rounds_that_guide_may_read_fewer_neighbours_and_the_last_one_is_denoised_anew_from_all() -> None:
    # T: buffers → draft → error, stop → denoised
    stops = {1001: 1, 1002: 0, 1003: 1}
    job = JobPlan(tuple(stops), 2, radius=2, every_round=True, draft_radius=0)
    view = Simulation(stops, slices=1, there=["samples/1001/r00", "buffers/1001/r00"])
    assert plan.after(job, "buffers/1001/r00", view) == ["rounds/1001/r00/draft"]
    view.there.add("rounds/1001/r00/draft")
    assert plan.after(job, "rounds/1001/r00/draft", view) == ["rounds/1001/r00/error"]
    run(job, view)

    assert view.reads["rounds/1001/r01/draft"] == ["buffers/1001/r01"]
    assert view.reads["rounds/1001/r01/error"] == ["buffers/1001/r01", "rounds/1001/r01/draft"]
    assert view.reads["rounds/1001/r01/denoised"] == ["buffers/1001/r01", "buffers/1002/r00", "buffers/1003/r01"]
    assert sorted(name for name in view.there if name.endswith("denoised")) == [
        "rounds/1001/r01/denoised", "rounds/1002/r00/denoised", "rounds/1003/r01/denoised",
    ]  # fmt: skip


def test_frames_that_the_job_does_not_have_are_no_neighbours() -> None:
    job = JobPlan((1001, 1003), 1, radius=1)

    assert list(job.neighbours(1001)) == [1001]


def test_neighbours_go_on_without_an_absent_frame() -> None:
    job, view = JobPlan((1001, 1002), 1, radius=1), Simulation({1001: 0, 1002: 0}, slices=1)
    view.there.add("failures/samples/1002/r00")
    run(job, view)
    assert plan.blocked_by(job, 1001, view) == ([], ["samples/1002/r00"])
    assert plan.unmakeable(job, view) == {1002: "samples/1002/r00"}

    view.there.add("absent/1002")
    assert plan.after(job, "absent/1002", view) == ["rounds/1001/r00/denoised"]
    run(job, view)
    assert view.reads["rounds/1001/r00/denoised"] == ["buffers/1001/r00"]
    assert view.reads["report"] == ["frames/1001", "absent/1002"]


def test_a_frame_that_failed_late_still_serves_the_buffers_that_it_made() -> None:
    job, view = JobPlan((1001, 1002), 2, radius=1), Simulation({1001: 0, 1002: 1}, slices=1)
    view.there.add("failures/frames/1002")
    run(job, view)
    assert plan.unmakeable(job, view) == {1002: "frames/1002"}
    view.there.add("absent/1002")
    run(job, view)

    assert view.reads["rounds/1001/r00/denoised"] == ["buffers/1001/r00", "buffers/1002/r00"]
    assert plan.is_done(job, view)


def test_a_skipped_frame_is_no_goal_and_is_not_waited_for() -> None:
    job = JobPlan((1001,), 1, radius=1, skipped=frozenset({1002}))
    view = Simulation({1001: 0, 1002: 0}, slices=1)
    run(job, view)

    assert view.reads["rounds/1001/r00/denoised"] == ["buffers/1001/r00"]
    assert not any("1002" in name for name in view.there)


def test_a_lost_sum_of_a_finished_frame_is_made_again_for_a_neighbour_that_is_not() -> None:
    job, view = JobPlan((1001, 1002), 1, radius=1), Simulation({1001: 0, 1002: 0}, slices=1)
    run(job, view)
    view.there -= {"frames/1002", "rounds/1002/r00/denoised", "buffers/1001/r00", "passes/1001/r00.s00"}

    assert plan.runnable(job, view) == ["passes/1001/r00.s00"]
    assert plan.wanted(job, "buffers/1001/r00", view)
    assert not plan.wanted(job, "rounds/1001/r00/denoised", view)
    assert not plan.wanted(job, "rounds/1001/r00/error", view)
    view.there.add("passes/1001/r00.s00")
    assert plan.after(job, "passes/1001/r00.s00", view) == ["buffers/1001/r00"]


def test_a_sum_that_was_made_again_starts_the_next_one_whose_slices_are_there() -> None:
    # T: buffers → buffers
    job, view = one_frame("samples/1001/r00", "rounds/1001/r00/error", "samples/1001/r01", "buffers/1001/r00")
    view.there |= {"passes/1001/r01.s00", "passes/1001/r01.s01"}

    assert plan.after(job, "buffers/1001/r00", view) == ["buffers/1001/r01"]


def test_samples_wait_for_those_of_all_earlier_rounds() -> None:
    job, view = one_frame("samples/1001/r00", "samples/1001/r01", "buffers/1001/r01", "rounds/1001/r01/error", stop=2)
    assert plan.runnable(job, view) == ["samples/1001/r02"]

    view.there.discard("samples/1001/r00")
    assert plan.runnable(job, view) == ["samples/1001/r00"]
    view.there.add("samples/1001/r00")
    assert plan.after(job, "samples/1001/r00", view) == ["samples/1001/r02"]


def test_what_a_task_reads_is_named_in_a_fixed_order() -> None:
    job, view = one_frame("samples/1001/r00")
    guided = JobPlan((1001,), 3, every_round=True)

    assert plan.inputs(job, "samples/1001/r00", view) == []
    assert plan.inputs(job, "samples/1001/r02", view) == [
        "rounds/1001/r01/error", "samples/1001/r00", "samples/1001/r01",
    ]  # fmt: skip
    assert plan.inputs(job, "buffers/1001/r00", view) == ["passes/1001/r00.s00", "passes/1001/r00.s01"]
    assert plan.inputs(guided, "rounds/1001/r01/error", view) == ["buffers/1001/r01", "rounds/1001/r01/denoised"]
    for task in ("buffers/1001/r01", "stop/1001", "frames/1001", "report"):
        assert plan.inputs(job, task, view) is None
    with pytest.raises(ProductError, match="not a task"):
        plan.inputs(job, "absent/1001", view)


def test_nothing_more_is_made_of_an_absent_frame() -> None:
    job, view = one_frame("samples/1001/r00", "failures/passes/1001/r00.s00", "absent/1001")

    assert plan.runnable(job, view) == ["report"]
    assert plan.after(job, "samples/1001/r00", view) == []


def test_a_parked_task_is_not_started_again() -> None:
    job, view = one_frame("samples/1001/r00", "failures/passes/1001/r00.s00")

    assert plan.runnable(job, view) == ["passes/1001/r00.s01"]
    assert plan.after(job, "samples/1001/r00", view) == ["passes/1001/r00.s01"]


def test_a_damaged_plan_is_made_anew() -> None:
    class Damaged(Simulation):
        def facts(self, name: str) -> Mapping[str, Any]:
            if name == "samples/1001/r00":
                self.there.discard(name)
            return super().facts(name)

    job, view = JobPlan((1001,), 1), Damaged({1001: 0}, there=["samples/1001/r00"])

    assert plan.runnable(job, view) == ["samples/1001/r00"]


def test_frames_that_are_added_make_the_report_stale() -> None:
    view = Simulation({1001: 0, 1002: 0}, slices=1)
    run(JobPlan((1001,), 1), view)
    told = {"frames": [1001]}
    view.facts = lambda name, facts=view.facts: told if name == "report" else facts(name)  # type: ignore[method-assign]
    wider = JobPlan((1001, 1002), 1)
    assert plan.is_done(JobPlan((1001,), 1), view) and plan.stale(JobPlan((1001,), 1), view) == []

    assert not plan.is_done(wider, view)
    assert plan.stale(wider, view) == ["report"]
    view.there.discard("report")
    run(wider, view)
    assert "report" in view.there and "frames/1002" in view.there


def test_nothing_is_removed_before_the_job_is_done() -> None:
    job, view = JobPlan((1001, 1002), 2), Simulation({1001: 1, 1002: 0})
    run(job, view)
    slices = sorted(name for name in view.there if name.startswith("passes/"))
    view.there.discard("report")
    assert plan.removable(job, view) == []

    view.there.add("report")
    assert sorted(plan.removable(job, view)) == slices
    view.there -= set(slices)
    assert plan.runnable(job, view) == [] and plan.removable(job, view) == []


def test_sums_that_the_last_denoise_reads_are_kept_under_a_budget() -> None:
    stops = {1001: 2, 1002: 0}
    job, view = JobPlan((1001, 1002), 3, radius=1), Simulation(stops, slices=1)
    run(job, view)

    assert "buffers/1001/r01" in plan.removable(job, view, superseded_buffers=True)
    kept = {"buffers/1001/r02", "buffers/1001/r00", "buffers/1002/r00"}
    assert kept.isdisjoint(plan.removable(job, view, superseded_buffers=True))


def test_earlier_frames_and_what_ends_a_round_start_first() -> None:
    job = JobPlan((1002, 1001), 3)
    tasks = [
        "report",
        "passes/1001/r00.s00",
        "passes/1002/r01.s01",
        "passes/1002/r01.s00",
        "buffers/1002/r01",
        "stop/1002",
    ]

    assert sorted(tasks, key=lambda task: plan.order(job, task)) == [
        "stop/1002", "buffers/1002/r01", "passes/1002/r01.s00", "passes/1002/r01.s01", "passes/1001/r00.s00", "report",
    ]  # fmt: skip


def test_a_plan_that_never_stops_is_an_error_not_a_loop() -> None:
    job, view = one_frame("samples/1001/r00", "samples/1001/r01", stop=9, rounds=1)

    with pytest.raises(FarmError, match="goes beyond the job's 1 rounds"):
        plan.runnable(job, view)


@pytest.mark.parametrize(
    ("first", "most", "rounds"), [(16, 16, 1), (16, 17, 2), (16, 32, 2), (16, 256, 5), (10, 256, 6)]
)
def test_rounds_double_until_the_cap(first: int, most: int, rounds: int) -> None:
    sampling = {"first_spp": first, "max_spp": most, "guide": "variance"}

    assert JobPlan.of(job_of({"sampling": sampling})).rounds == rounds


def test_a_budget_has_rounds_of_its_own_and_a_version_that_is_denoised_anew_none() -> None:
    sampling = {"first_spp": 16, "max_spp": 256, "guide": "variance", "budget_spp": 64}
    job = job_of({"sampling": sampling})
    replay = job.model_copy(update={"replay": Replay(job="s.v001", hash="h", frames=(1001,))})

    assert (JobPlan.of(job).budget, JobPlan.of(job).rounds) == (True, 10)
    assert (JobPlan.of(replay).budget, JobPlan.of(replay).rounds) == (False, 10)
    assert not JobPlan.of(job_of({"sampling": sampling | {"budget_spp": None}})).budget


@pytest.mark.parametrize(
    ("denoise", "radius"),
    [
        ({"backend": "kpcn", "preset": "fast", "temporal_radius": None}, 1),
        ({"backend": "kpcn", "preset": "paper", "temporal_radius": None}, 3),
        ({"backend": "kpcn", "preset": "paper", "temporal_radius": 0}, 0),
        ({"backend": "oidn", "preset": "paper", "temporal_radius": 3}, 0),
        ({"backend": "none", "preset": "fast", "temporal_radius": None}, 0),
    ],
)
def test_the_window_is_that_of_the_denoiser(denoise: dict[str, Any], radius: int) -> None:
    sampling = {"first_spp": 1, "max_spp": 1, "guide": "variance"}

    assert JobPlan.of(job_of({"sampling": sampling, "denoise": denoise})).radius == radius


@pytest.mark.parametrize(
    ("guide", "every"), [("variance", False), ("uniform", False), ("error", True), ("oracle", True)]
)
def test_the_guide_decides_whether_every_round_is_denoised(guide: str, every: bool) -> None:
    sampling = {"first_spp": 1, "max_spp": 1, "guide": guide}

    assert JobPlan.of(job_of({"sampling": sampling})).every_round is every


def test_the_plan_of_a_job_follows_its_control_records() -> None:
    job = job_of({}, rehearsal=Rehearsal(rounds=2, radius=1, every_round=True))
    state = ControlState(skipped=frozenset({1002}), frames=frozenset({1005}), priority=8)

    assert JobPlan.of(job, state) == JobPlan(
        (1001, 1003, 1005), 2, radius=1, every_round=True, priority=8, skipped=frozenset({1002})
    )


def job_of(config: dict[str, Any], rehearsal: Rehearsal | None = None) -> Job:
    return Job(
        id="s.v001", shot="s", version=1, hash="h", config=config, frames=(1001, 1002, 1003), scenes={},
        environment={"key": "e"}, created="", rehearsal=rehearsal,
    )  # fmt: skip
