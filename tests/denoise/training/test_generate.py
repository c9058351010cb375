"""Training data made in processes of their own: whole files, the same ones again, and no scene stops the others."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.training.crew import Job, path_of
from pipeline.denoise.training.generate import VALIDATION, generate, main, seeds_of
from pipeline.denoise.training.sequences import LAYERS, Sequence, listing, read
from pipeline.denoise.training.take import Take
from pipeline.errors import ConfigError, DeviceError, SceneError
from pipeline.images.metrics import smape

pytest.importorskip("pyoidn")

TAKE = Take(size=16, reference_spp=16, sub_buffers=(4, 4, 8))

SIZE = 48
"""Of the sequence that is looked at: a denoiser has little to go by in 16 pixels."""


def arrays_of(path: Path) -> dict[str, bytes]:
    sequence = read(path)
    return {name: getattr(sequence, name).tobytes() for name in ("spp", *LAYERS)}


def test_a_run_goes_on_where_it_was_stopped_and_makes_the_same_again(tiny_scenes: Any, tmp_path: Path) -> None:
    job = Job(tmp_path, TAKE, "tiny_scenes")
    seeds = [1, tiny_scenes.DARK, tiny_scenes.REFUSED, 2, tiny_scenes.CRASH]
    first = generate(job, seeds, processes=1)

    assert (first.made, first.present, first.skipped, first.lost) == (2, 0, 2, 1)
    assert [path.name for path in listing(tmp_path)] == ["00000001.npz", "00000002.npz"]
    assert "hardly a pixel is lit" in path_of(tmp_path, tiny_scenes.DARK).with_suffix(".skipped").read_text()
    assert "no_such_shape" in path_of(tmp_path, tiny_scenes.REFUSED).with_suffix(".skipped").read_text()
    assert len(list(tmp_path.iterdir())) == 4

    made, kept = path_of(tmp_path, 1), path_of(tmp_path, 2)
    before, untouched = arrays_of(made), kept.stat().st_mtime_ns
    made.write_bytes(made.read_bytes()[:1000])  # damaged
    again = generate(job, seeds[:-1], processes=1)

    assert (again.made, again.present, again.skipped, again.lost) == (1, 1, 2, 0)
    assert arrays_of(made) == before
    assert kept.stat().st_mtime_ns == untouched
    assert arrays_of(kept) != before


def test_a_process_that_hangs_is_ended_and_its_scene_lost(tiny_scenes: Any, tmp_path: Path) -> None:
    tally = generate(Job(tmp_path, TAKE, "tiny_scenes"), [tiny_scenes.HANG], processes=1, patience=0.5)

    assert tally.lost == 1
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_rendered_the_run_ends(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no_such_module"):
        generate(Job(tmp_path, TAKE, "no_such_module"), range(5), processes=1)


def test_no_scene_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    assert generate(Job(tmp_path, TAKE, "no_such_module"), range(5), minutes=0.0).made == 0


@pytest.fixture(scope="module")
def recorded(mitsuba: Any, tiny_scenes: Any, tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    from pipeline.denoise.training.record import record

    return record(tiny_scenes, 3, tmp_path_factory.mktemp("blobs"), replace(TAKE, size=SIZE))


def test_a_recorded_sequence_says_what_it_is(recorded: Sequence) -> None:
    assert recorded.spp.tolist() == [4, 4, 8]
    assert recorded.shape == (SIZE, SIZE)
    assert recorded.meta["seed"] == 3
    assert recorded.meta["kind"] == "tiny"
    assert recorded.meta["tags"] == {"shapes": "3"}
    assert 0.02 < recorded.meta["smape_16spp"] < 0.5


def test_the_reference_is_nearer_to_the_truth_than_the_samples_are(
    recorded: Sequence, tiny_scenes: Any, tmp_path: Path
) -> None:
    from pipeline.render.moments import add_round, combine
    from pipeline.render.passes import prepare, render_pass
    from pipeline.scene.load import load

    spec = tiny_scenes.place(tiny_scenes.recipe(3, resolution=(SIZE, SIZE), frames=3), tmp_path)
    none = np.zeros((SIZE, SIZE), np.uint32)
    moments = render_pass(prepare(load(spec, 2, tmp_path)), none + 512, none, seed=99)
    truth = combine(add_round(None, moments)).beauty

    reference, noisy = (
        smape(image.reshape(SIZE, SIZE, 3, 3).sum(axis=2), truth)
        for image in (recorded.reference, recorded.colour[1, 2])
    )
    assert reference < 0.5 * noisy
    assert abs(recorded.reference.mean() / recorded.raw.mean() - 1) < 0.05
    assert recorded.reference.min() >= 0
    assert recorded.reference[: SIZE // 2, :, 0:3].any()
    assert not recorded.reference[SIZE // 2 :, :, 0:3].any()  # far from the lamp


def test_sub_buffers_and_frames_are_of_different_samples(recorded: Sequence) -> None:
    assert not np.array_equal(recorded.colour[1, 0], recorded.colour[1, 1])
    assert not np.array_equal(recorded.colour[0, 0], recorded.colour[1, 0])


def test_depth_is_relative_to_that_of_the_centre_frame(recorded: Sequence) -> None:
    depth = recorded.features[1, ..., 7]
    assert np.median(depth[depth > 0]) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("scene", "why"), [("EMPTY", "all pixels are alike"), ("DARK", "hardly a pixel is lit")])
def test_a_scene_with_nothing_to_learn_is_refused(
    mitsuba: Any, tiny_scenes: Any, tmp_path: Path, scene: str, why: str
) -> None:
    from pipeline.denoise.training.record import record

    with pytest.raises(SceneError, match=why):
        record(tiny_scenes, getattr(tiny_scenes, scene), tmp_path, TAKE)


def test_training_and_validation_have_no_seed_in_common() -> None:
    assert seeds_of(first=5, count=3, validation=False) == range(5, 8)
    assert seeds_of(first=5, count=3, validation=True) == range(VALIDATION + 5, VALIDATION + 8)
    assert seeds_of(first=0, count=VALIDATION, validation=False)[-1] == VALIDATION - 1
    with pytest.raises(ConfigError, match="seeds"):
        seeds_of(first=VALIDATION - 1, count=2, validation=False)


def test_the_command_refuses_seeds_of_the_validation_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--count", "1", "--first", str(VALIDATION)]) == ConfigError.exit_code
    assert "seeds 1000000" in capsys.readouterr().err


def test_the_process_that_hands_out_scenes_loads_neither_mitsuba_nor_torch() -> None:
    code = "import sys, pipeline.denoise.training.generate; print({'mitsuba', 'drjit', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
