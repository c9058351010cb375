import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.device import with_weights
from pipeline.errors import FarmError, StoreError
from pipeline.farm import control, job, names
from pipeline.farm.control import Control
from pipeline.farm.job import Frozen, Job, Rehearsal, Replay, claim, content_hash, directory_of, load, wanted_frames
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.store import LocalStore

SCENE = {"*": {"xml": "a" * 64 + ".xml", "warnings": []}}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def frozen(*, key: str = "e", scenes: Any = SCENE, sampling: Any = (), denoise: Any = (), **config: Any) -> Frozen:
    whole = {
        "shot": "s",
        "scene": "scene.xml",
        "frames": "1001-1004",
        "fps": 24,
        "sampling": {"first_spp": 16, "max_spp": 64, "guide": "variance", "target_error": 0.02} | dict(sampling),
        "denoise": {"backend": "kpcn", "preset": "fast", "lambda": 1.0, "temporal_radius": None} | dict(denoise),
        "preview": {"preset": "fast"},
        "priority": 5,
    }
    return Frozen(whole | config, {"key": key, "variant": "llvm"}, scenes)


FRAMES = (1001, 1002, 1003, 1004)


def submit(store: LocalStore, what: Frozen, *, frames: tuple[int, ...] = FRAMES, priority: int = 5) -> tuple[Job, bool]:
    return claim(store, "s", what, frames=frames, priority=priority, owner="me")


def test_a_new_job_is_the_first_version_and_is_marked_active(store: LocalStore) -> None:
    made, attached = submit(store, frozen())

    assert not attached
    assert (made.id, made.directory, made.version, made.frames) == ("s.v001", "s/v001", 1, FRAMES)
    assert load(store, "s.v001") == made
    assert job.active(store) == ["s.v001"] and job.jobs(store) == ["s.v001"]


def test_the_same_again_attaches(store: LocalStore) -> None:
    first, _ = submit(store, frozen())
    second, attached = submit(store, frozen(frames="1001-1004x1", preview={"preset": "paper"}, scene="other/place.xml"))

    assert attached and second == first
    assert Control(store, "s/v001").look().records == 0


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"},
        {"fps": 25},
        {"sampling": {"target_error": 0.01}},
        {"denoise": {"lambda": 2.0}},
        {"scenes": {"*": {"xml": "b" * 64 + ".xml"}}},
    ],
)
def test_what_changes_pixels_is_a_new_version(store: LocalStore, change: dict[str, Any]) -> None:
    submit(store, frozen())
    other, attached = submit(store, frozen(**change))

    assert not attached and other.id == "s.v002"
    assert submit(store, frozen())[0].id == "s.v001"
    assert job.jobs(store, "s") == ["s.v001", "s.v002"]


def test_frames_that_are_asked_for_later_are_added_by_a_record(store: LocalStore) -> None:
    made, _ = submit(store, frozen())
    store.create("s/v001/report", b"of four frames")
    submit(store, frozen(), frames=(1003, 1006, 1005))
    state = Control(store, "s/v001").look()

    assert wanted_frames(made, state) == (1001, 1002, 1003, 1004, 1005, 1006)
    assert not store.exists("s/v001/report")
    submit(store, frozen(), frames=(1006,))
    assert Control(store, "s/v001").look().records == 1


def test_a_frame_that_was_skipped_is_wanted_again_when_it_is_submitted(store: LocalStore) -> None:
    made, _ = submit(store, frozen())
    control.write(store, "s/v001", "skip", [1002])
    assert wanted_frames(made, Control(store, "s/v001").look()) == (1001, 1003, 1004)

    submit(store, frozen(), frames=(1002,))
    assert wanted_frames(made, Control(store, "s/v001").look()) == FRAMES


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_submitting_resumes_what_was_held(store: LocalStore, action: str) -> None:
    made, _ = submit(store, frozen())
    control.write(store, "s/v001", action)
    job.deactivate(store, made)

    submit(store, frozen())

    assert not Control(store, "s/v001").look().held
    assert job.active(store) == ["s.v001"]


def test_submitting_with_another_priority_changes_it(store: LocalStore) -> None:
    submit(store, frozen())
    submit(store, frozen(priority=8), priority=8)

    assert Control(store, "s/v001").look().priority == 8


def test_scenes_of_single_frames_attach_while_they_are_the_same(store: LocalStore) -> None:
    scenes = {str(f): {"xml": f"{f:064d}.xml"} for f in FRAMES}
    submit(store, frozen(scenes=scenes))

    part = {"1002": scenes["1002"]}
    assert submit(store, frozen(scenes=part), frames=(1002,)) == (load(store, "s.v001"), True)
    edited = scenes | {"1002": {"xml": "e" * 64 + ".xml"}}
    assert submit(store, frozen(scenes=edited))[0].id == "s.v002"
    longer = scenes | {"1005": {"xml": f"{1005:064d}.xml"}}
    assert submit(store, frozen(scenes=longer), frames=(*FRAMES, 1005))[0].id == "s.v003"


def test_of_many_who_submit_at_once_each_hash_gets_one_version(store: LocalStore) -> None:
    gate, got = threading.Barrier(8), []

    def run(n: int) -> None:
        gate.wait()
        got.append((n % 2, submit(store, frozen(denoise={"lambda": 1.0 + n % 2}))))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert job.jobs(store, "s") == ["s.v001", "s.v002"]
    assert sum(not attached for _, (_, attached) in got) == 2
    for parity in (0, 1):
        assert len({made.id for n, (made, _) in got if n == parity}) == 1


def test_the_hash_is_a_function_of_content_not_of_the_order_of_keys() -> None:
    one = frozen()
    turned = Frozen(dict(reversed(one.config.items())), dict(reversed(one.environment.items())), one.scenes)

    assert content_hash("s", one, frames=(1,)) == content_hash("s", turned, frames=(2,))
    assert len(content_hash("s", one, frames=(1,))) == 64


def test_a_damaged_job_is_left_alone_and_the_next_number_is_taken(store: LocalStore) -> None:
    store.create("s/v001/job.json", b"{")

    assert submit(store, frozen())[0].id == "s.v002"
    with pytest.raises(FarmError, match=r"s/v001/job\.json cannot be used"):
        load(store, "s.v001")


def test_a_job_of_another_format_is_refused(store: LocalStore) -> None:
    made, _ = submit(store, frozen())
    store.create("s/v007/job.json", json.dumps(made.model_dump(mode="json") | {"format": 2}).encode())

    with pytest.raises(FarmError, match="format"):
        load(store, "s.v007")


def test_an_unknown_job_is_named(store: LocalStore) -> None:
    with pytest.raises(FarmError, match=r"there is no job s\.v001 in"):
        load(store, "s.v001")


@pytest.mark.parametrize("text", ["s", "s.1", "s.v1", "s.v0001", ".v001", "s/v001", ""])
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(FarmError, match="is not the id of a job"):
        directory_of(text)


def test_an_id_names_its_directory() -> None:
    assert directory_of("a.b.v001") == "a.b/v001"
    assert directory_of("s.v1234") == "s/v1234"


@pytest.mark.parametrize("shot", ["active", "blobs", "damaged"])
def test_names_that_the_store_keeps_for_itself_are_no_shots(store: LocalStore, shot: str) -> None:
    with pytest.raises(FarmError, match="keeps that name"):
        claim(store, shot, frozen(), frames=FRAMES)


def test_a_job_without_frames_is_refused(store: LocalStore) -> None:
    with pytest.raises(FarmError, match="no frames"):
        submit(store, frozen(), frames=())


def test_a_store_that_cannot_be_written_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = LocalStore(tmp_path / "file")

    with pytest.raises(StoreError):
        submit(store, frozen())


def test_a_rehearsal_is_told_apart_by_what_it_rehearses(store: LocalStore) -> None:
    def rehearsal(seconds: float) -> Frozen:
        return Frozen({}, {"key": "e"}, engine="rehearsal", rehearsal=Rehearsal(task_seconds=seconds, slices=2))

    first, _ = submit(store, rehearsal(0.1))
    assert submit(store, rehearsal(0.1)) == (first, True)
    assert submit(store, rehearsal(0.2))[0].version == 2
    assert load(store, first.id).rehearsal == Rehearsal(task_seconds=0.1, slices=2)


class TestReuse:
    """A new version takes over what an earlier one makes by the same recipe."""

    RENDERED = ("samples", "passes", "buffers", "error", "stop")

    def kinds(self, store: LocalStore, first: Frozen, second: Frozen, **options: Any) -> set[str]:
        submit(store, first)
        made, attached = submit(store, second, **options)
        assert not attached
        return {kind for base in made.bases for kind in base.kinds}

    def test_another_lambda_reuses_what_was_rendered(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(denoise={"lambda": 3.0})) == set(self.RENDERED)

    def test_another_lambda_changes_the_samples_when_the_denoised_picture_guides_them(self, store: LocalStore) -> None:
        guide = {"guide": "error"}
        assert self.kinds(store, frozen(sampling=guide), frozen(sampling=guide, denoise={"lambda": 3.0})) == set()

    def test_another_frame_rate_reuses_everything_but_the_deliverable(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(fps=25)) == {*self.RENDERED, "denoised"}

    def test_another_seed_reuses_nothing(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(sampling={"seed": 1}), frozen(sampling={"seed": 2})) == set()

    def test_another_environment_reuses_nothing(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(key="f")) == set()

    def test_another_scene_reuses_nothing(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(scenes={"*": {"xml": "b" * 64 + ".xml"}})) == set()

    def test_other_neighbours_make_other_denoised_frames(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(fps=25), frames=(1001, 1002)) == set(self.RENDERED)

    def test_a_frame_that_the_earlier_version_could_not_make_makes_other_denoised_frames(
        self, store: LocalStore
    ) -> None:
        submit(store, frozen())
        store.create(f"s/v001/{names.absent(1002)}", b"{}")

        assert self.kinds(store, frozen(), frozen(fps=25)) == set(self.RENDERED)

    def test_a_single_edited_scene_reuses_the_frames_whose_neighbours_are_the_same(self, store: LocalStore) -> None:
        scenes = {str(f): {"xml": f"{f:064d}.xml"} for f in range(1001, 1007)}
        submit(store, frozen(scenes=scenes), frames=tuple(range(1001, 1007)))
        edited = scenes | {"1005": {"xml": "e" * 64 + ".xml"}}
        made, _ = submit(store, frozen(scenes=edited), frames=tuple(range(1001, 1007)))

        assert made.bases[0].frames == (1001, 1002, 1003)
        assert set(made.bases[0].kinds) == set(self.RENDERED)

    @pytest.mark.parametrize(
        ("change", "rounds"),
        [({"max_spp": 256}, 3), ({"max_spp": 40}, 2), ({"max_spp": 16}, 1), ({"target_error": 0.001}, 3)],
    )
    def test_other_limits_reuse_the_rounds_of_equal_totals(
        self, store: LocalStore, change: dict[str, Any], rounds: int
    ) -> None:
        single = {"temporal_radius": 0}  # first_spp 16, max_spp 64: 16, 32, 64
        submit(store, frozen(denoise=single))
        made, _ = submit(store, frozen(denoise=single, sampling=change))

        assert [(base.kinds, base.rounds) for base in made.bases] == [(("buffers", "error", "denoised"), rounds)]

    def test_a_budget_shares_the_first_round_with_versions_of_other_frames_or_without_one(
        self, store: LocalStore
    ) -> None:
        single, budget = {"temporal_radius": 0}, {"budget_spp": 32}
        submit(store, frozen(denoise=single))
        first, _ = submit(store, frozen(denoise=single, sampling=budget))
        wider, attached = submit(store, frozen(denoise=single, sampling=budget), frames=(*FRAMES, 1005))

        assert not attached and (first.version, wider.version) == (2, 3)
        assert [(base.kinds, base.rounds) for base in wider.bases] == [(("buffers", "error", "denoised"), 1)] * 2
        assert submit(store, frozen(denoise=single, sampling=budget), frames=FRAMES[::-1]) == (first, True)

    def test_another_lambda_of_a_budget_reuses_its_decisions(self, store: LocalStore) -> None:
        single, budget = {"temporal_radius": 0}, {"budget_spp": 32}
        submit(store, frozen(denoise=single, sampling=budget))
        made, _ = submit(store, frozen(denoise={**single, "lambda": 2.0}, sampling=budget))

        assert set(made.bases[0].kinds) == {*self.RENDERED, "budget"} and made.bases[0].rounds is None

    def test_a_single_edited_scene_changes_the_shares_of_all_frames(self, store: LocalStore) -> None:
        scenes = {str(f): {"xml": f"{f:064d}.xml"} for f in FRAMES}
        options: dict[str, Any] = {"denoise": {"temporal_radius": 0}, "sampling": {"budget_spp": 32}}
        submit(store, frozen(scenes=scenes, **options))
        made, _ = submit(store, frozen(scenes=scenes | {"1004": {"xml": "e" * 64 + ".xml"}}, **options))

        (base,) = made.bases
        assert (base.kinds, base.rounds, base.frames) == (("buffers", "error", "denoised"), 1, (1001, 1002))

    def test_another_first_round_reuses_nothing(self, store: LocalStore) -> None:
        assert self.kinds(store, frozen(), frozen(sampling={"first_spp": 8})) == set()

    def test_other_limits_stop_neighbours_elsewhere_so_that_temporal_denoising_is_done_again(
        self, store: LocalStore
    ) -> None:
        assert self.kinds(store, frozen(), frozen(sampling={"max_spp": 256})) == {"buffers", "error"}

    def test_when_temporal_denoising_guides_the_samples_other_limits_share_the_first_round(
        self, store: LocalStore
    ) -> None:
        guide = {"guide": "error"}
        submit(store, frozen(sampling=guide))
        made, _ = submit(store, frozen(sampling=guide | {"target_error": 0.001}))

        assert [(base.kinds, base.rounds) for base in made.bases] == [(("buffers", "error", "denoised"), 1)]

    def test_all_earlier_versions_serve_the_newest_first(self, store: LocalStore) -> None:
        for value in (1.0, 2.0, 3.0):
            made, _ = submit(store, frozen(denoise={"lambda": value}))

        assert [base.directory for base in made.bases] == ["s/v002", "s/v001"]

    def test_other_weights_reuse_what_was_rendered(self, store: LocalStore) -> None:
        def network(fingerprint: str) -> Frozen:
            whole = frozen()
            return replace(whole, environment=with_weights(whole.environment, {"fast": fingerprint}))

        assert self.kinds(store, frozen(), network("1")) == set(self.RENDERED)
        assert self.kinds(store, network("1"), network("2")) == set(self.RENDERED)

    def test_other_weights_change_the_samples_when_the_denoised_picture_guides_them(self, store: LocalStore) -> None:
        whole = frozen(sampling={"guide": "error"})
        one, other = (
            replace(whole, environment=with_weights(whole.environment, {"fast": fingerprint})) for fingerprint in "12"
        )
        assert self.kinds(store, one, other) == set()


class TestReplay:
    """A version that denoises another one anew takes its sums and decisions, and gives nothing to those that render."""

    def replay(self, base: Job, **changes: Any) -> Frozen:
        replayed = Replay(job=base.id, hash=base.hash, frames=base.frames)
        return replace(frozen(**changes), replay=replayed)

    def test_sums_and_decisions_are_served_whatever_guided_them(self, store: LocalStore) -> None:
        guide = {"guide": "error"}
        base, _ = submit(store, frozen(sampling=guide))
        made, _ = submit(store, self.replay(base, sampling=guide, denoise={"lambda": 3.0}))

        (served,) = made.bases
        assert (served.directory, served.hash, served.frames) == ("s/v001", base.hash, None)
        assert set(served.kinds) == {"samples", "buffers", "stop"}

    def test_error_maps_of_the_noisy_picture_are_served_too(self, store: LocalStore) -> None:
        base, _ = submit(store, frozen())
        made, _ = submit(store, self.replay(base, denoise={"lambda": 3.0}))

        assert set(made.bases[0].kinds) == {"samples", "buffers", "stop", "error"}

    def test_what_the_rendered_version_took_over_is_served_as_well(self, store: LocalStore) -> None:
        single = {"temporal_radius": 0}
        submit(store, frozen(denoise=single))
        base, _ = submit(store, frozen(denoise=single, sampling={"max_spp": 256}))
        made, _ = submit(store, self.replay(base, denoise={**single, "lambda": 3.0}, sampling={"max_spp": 256}))

        assert [(served.directory, set(served.kinds), served.rounds) for served in made.bases] == [
            ("s/v002", {"samples", "buffers", "stop", "error"}, None),
            ("s/v001", {"buffers", "error"}, 3),
        ]

    def test_another_environment_denoises_what_is_there(self, store: LocalStore) -> None:
        base, _ = submit(store, frozen())
        made, _ = submit(store, self.replay(base, key="newer"))

        assert made.bases[0].directory == "s/v001"

    def test_jobs_that_render_take_nothing_from_one_that_does_not(self, store: LocalStore) -> None:
        guide = {"guide": "error"}
        base, _ = submit(store, frozen(sampling=guide))
        submit(store, self.replay(base, sampling=guide, denoise={"lambda": 3.0}))
        made, attached = submit(store, frozen(sampling=guide, denoise={"lambda": 3.0}))

        assert not attached and made.id == "s.v003" and made.bases == ()

    def test_a_version_that_is_gone_cannot_be_replayed(self, store: LocalStore) -> None:
        base, _ = submit(store, frozen())
        gone = self.replay(base.model_copy(update={"hash": "0" * 64}))

        with pytest.raises(FarmError, match=r"s\.v001 is not there any more"):
            submit(store, gone)

    def test_frames_of_the_rendered_version_that_are_not_wanted_are_neighbours(self, store: LocalStore) -> None:
        base, _ = submit(store, frozen())
        made, _ = submit(store, self.replay(base, denoise={"lambda": 3.0}), frames=(1002,))
        wanted = JobPlan.of(made)

        assert wanted.frames == (1002,) and wanted.skipped == {1001, 1003, 1004}
        assert list(wanted.neighbours(1002)) == [1001, 1002, 1003]
