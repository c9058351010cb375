from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import control, names
from pipeline.farm.forecast import OUTPUT_SECONDS
from pipeline.farm.job import Frozen, Job, claim
from pipeline.farm.products import Products
from pipeline.farm.progress import Progress, snapshot
from pipeline.farm.store import LocalStore

SAMPLING = {"first_spp": 16, "max_spp": 256, "guide": "variance", "target_error": 0.02}
PIXELS = 100


class Farm:
    """A job of frames of 100 pixels, moved on by hand."""

    def __init__(self, store: LocalStore, frames: tuple[int, ...]) -> None:
        config = {"sampling": SAMPLING, "denoise": {"backend": "none"}}
        self.store = store
        self.job: Job = claim(store, "s", Frozen(config, {"key": "e"}), frames=frames)[0]
        self.products = Products(store, self.job)

    def render(self, frame: int, r: int, *, slices: int = 2, finished: int = 2, seconds: float = 3.0) -> None:
        total = PIXELS * 16 * 2 ** max(r - 1, 0)
        bounds = [PIXELS * s // slices for s in range(slices + 1)]
        plan = {"slices": slices, "samples": total, "bounds": bounds}
        self.products.publish(names.samples(frame, r), plan)
        for s in range(finished):
            facts = {"samples": total // slices, "seconds": seconds}
            self.products.publish(names.passes(frame, r, s), facts)

    def judge(self, frame: int, r: int, mean: float, p99: float = 0.0) -> None:
        samples = PIXELS * 16 * 2**r
        self.products.publish(names.buffers(frame, r), {"samples": samples, "seconds": 6.0 * 2**r})
        facts = {"mean": mean, "p99": p99, "spp": 16 * 2**r}
        self.products.publish(names.error(frame, r), facts)

    def stop(self, frame: int, r: int, reason: str = "target") -> None:
        self.products.publish(names.samples(frame, r + 1), {"slices": 0, "samples": 0})
        error = self.products.facts(names.error(frame, r))
        self.products.publish(names.stop(frame), {"round": r, "reason": reason, **error})

    def deliver(self, frame: int, **facts: Any) -> None:
        self.products.publish(names.frame_product(frame), {"exr": f"frames/s.{frame}.exr", "degraded": False} | facts)

    def finish(self, frame: int) -> None:
        self.render(frame, 0)
        self.judge(frame, 0, 0.01)
        self.stop(frame, 0)
        self.deliver(frame)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(LocalStore(tmp_path), (1001, 1002))


def test_a_job_that_nobody_has_touched_waits(farm: Farm) -> None:
    found = snapshot(farm.store, farm.job)

    assert (found.state, found.samples, found.fraction, found.expected, found.forecast) == (
        "waiting",
        0,
        0,
        None,
        None,
    )
    assert [frame.state for frame in found.frames] == ["waiting", "waiting"]
    assert found.rounds == 5


def test_slices_of_the_running_round_count(farm: Farm) -> None:
    farm.render(1001, 0, finished=1)
    frame = snapshot(farm.store, farm.job).frames[0]

    assert (frame.state, frame.round, frame.samples, frame.seconds) == ("rendering", None, 800, 3.0)


def test_a_sum_and_its_slices_are_not_counted_twice(farm: Farm) -> None:
    farm.render(1001, 0)
    farm.judge(1001, 0, 0.04, 0.1)
    farm.render(1001, 1, finished=1)
    frame = snapshot(farm.store, farm.job).frames[0]

    assert (frame.round, frame.samples, frame.seconds) == (0, 1600 + 800, 6.0 + 3.0)
    assert (frame.spp, frame.error, frame.error_p99) == (16, 0.04, 0.1)


@pytest.mark.parametrize(
    ("mean", "p99", "spp"),
    [
        (0.02, 0.05, 16),  # the target is reached
        (0.03, 0.05, 64),  # 16 · 1.5² = 36, which the round of 64 holds
        (0.04, 0.05, 64),  # 16 · 2² = 64 exactly
        (0.02, 0.13, 128),  # the percentile decides: 16 · (0.13 / 0.06)² = 75
        (0.9, 0.9, 256),  # the cap
    ],
)
def test_what_a_frame_will_need_is_guessed_from_its_error(farm: Farm, mean: float, p99: float, spp: float) -> None:
    farm.render(1001, 0)
    farm.judge(1001, 0, mean, p99)
    found = snapshot(farm.store, farm.job)

    assert found.frames[0].expected == spp * PIXELS
    assert found.expected == 2 * spp * PIXELS  # the other frame is taken to be alike


def test_a_finished_frame_has_its_path_and_its_figures(farm: Farm) -> None:
    farm.finish(1001)
    frame = snapshot(farm.store, farm.job).frames[0]

    assert (frame.state, frame.path, frame.round, frame.spp) == ("done", "frames/s.1001.exr", 0, 16)
    assert (frame.error, frame.samples, frame.expected, frame.seconds, frame.reason) == (
        0.01,
        1600,
        1600,
        6.0,
        "target",
    )


def test_a_frame_that_has_stopped_is_being_denoised(farm: Farm) -> None:
    farm.render(1001, 0)
    farm.judge(1001, 0, 0.01)
    farm.stop(1001, 0)
    frame = snapshot(farm.store, farm.job).frames[0]

    assert (frame.state, frame.expected) == ("denoising", 1600)


def test_the_job_is_done_with_its_report_and_not_before(farm: Farm) -> None:
    farm.finish(1001)
    farm.finish(1002)
    before = snapshot(farm.store, farm.job)
    farm.products.publish(names.REPORT, {"frames": [1001, 1002]})
    after = snapshot(farm.store, farm.job)

    assert before.state == "running" and 0.99 < before.fraction < 1.0
    assert (after.state, after.fraction, after.done, after.seconds, after.samples) == ("done", 1.0, 2, 12.0, 3200)


def test_parked_tasks_and_absent_frames_are_told(farm: Farm) -> None:
    farm.finish(1001)
    farm.render(1002, 0, finished=1)
    farm.products.record("failures/passes/1002/r00.s01", {})
    parked = snapshot(farm.store, farm.job)
    farm.products.record("absent/1002", {})
    farm.products.publish(names.REPORT, {"frames": [1001]})
    ended = snapshot(farm.store, farm.job)

    assert parked.state == "running" and parked.failures == ("passes/1002/r00.s01",)
    assert (parked.frames[1].state, parked.frames[1].failures) == ("parked", ("passes/1002/r00.s01",))
    assert (ended.state, ended.frames[1].state, ended.absent) == ("failed", "absent", 1)


def test_a_report_that_cannot_be_made_fails_the_job(farm: Farm) -> None:
    farm.products.record("failures/report", {})

    assert snapshot(farm.store, farm.job).state == "failed"


@pytest.mark.parametrize(("action", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_held_job_says_so_and_promises_no_end(farm: Farm, action: str, state: str) -> None:
    farm.finish(1001)
    control.write(farm.store, farm.job.directory, action)

    found = snapshot(farm.store, farm.job)
    assert (found.state, found.forecast) == (state, None)


def test_frames_that_are_added_and_skipped_are_followed(farm: Farm) -> None:
    progress = Progress(farm.store, farm.job)
    progress.snapshot()
    control.write(farm.store, farm.job.directory, "frames", [1003])
    control.write(farm.store, farm.job.directory, "skip", [1001])

    assert [frame.frame for frame in progress.snapshot().frames] == [1002, 1003]


def test_the_time_left_follows_the_work_that_was_watched(farm: Farm) -> None:
    progress = Progress(farm.store, farm.job)
    farm.render(1001, 0)
    farm.judge(1001, 0, 0.04)
    before = progress.snapshot(now=100.0).forecast  # two frames of 64 spp need 12,800 samples, at 6 s for 1,600
    assert before is not None and before.samples.middle == 12_800 - 1_600
    assert before.seconds.middle == pytest.approx(42.0 + 2 * OUTPUT_SECONDS)

    farm.render(1001, 1)  # 6 seconds of work in 40: somebody else has the machine
    after = progress.snapshot(now=140.0).forecast
    assert after is not None and after.slots == pytest.approx((6 + 60) / (40 + 60))
    assert after.seconds.middle == pytest.approx(after.machine_seconds.middle / after.slots)


def test_live_slots_share_the_work_and_a_price_makes_a_cost(farm: Farm) -> None:
    farm.render(1001, 0)
    farm.judge(1001, 0, 0.04)
    one = snapshot(farm.store, farm.job).forecast
    four = snapshot(farm.store, farm.job, slots=4, cost_per_hour=3600.0).forecast

    assert one is not None and four is not None and four.cost is not None
    assert four.seconds.middle == pytest.approx(one.seconds.middle / 4)
    assert one.cost is None and four.cost == four.machine_seconds == one.machine_seconds


def test_a_finished_frame_costs_one_question(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.finish(1001)
    farm.finish(1002)
    progress = Progress(farm.store, farm.job)
    progress.snapshot()
    asked: list[str] = []
    exists = LocalStore.exists
    monkeypatch.setattr(LocalStore, "exists", lambda self, name: asked.append(name) or exists(self, name))
    monkeypatch.setattr(LocalStore, "read_head", lambda self, name, size: pytest.fail(f"{name} was read"))
    progress.snapshot()

    assert sorted(name for name in asked if "control" not in name and "report" not in name) == [
        "s/v001/frames/1001",
        "s/v001/frames/1002",
    ]


def test_a_finished_frame_that_is_lost_is_not_done_any_more(farm: Farm) -> None:
    farm.finish(1001)
    progress = Progress(farm.store, farm.job)
    assert progress.snapshot().done == 1
    farm.store.delete("s/v001/frames/1001")

    assert progress.snapshot().frames[0].state == "denoising"
