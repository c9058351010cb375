"""Augmentation: what rendering would have given from another side, under other light, in other axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.denoise.frame import Frame
from pipeline.denoise.motion import trajectories
from pipeline.denoise.training.augment import (
    ORIENTATIONS,
    augment,
    expose,
    orient,
    permute_colours,
    random_axes,
    turn_world,
)
from pipeline.denoise.training.patches import Crop, Sample, assemble, rng_of
from pipeline.denoise.training.sequences import Sequence
from pipeline.render.buffers import luminance

COMPONENTS = ("emission", "diffuse", "specular")


@pytest.fixture
def sample(sequence: Sequence) -> Any:
    return assemble(sequence, rng_of(0, 0, 3), Crop(1, 2, 12))


def layers_of(sample: Any) -> dict[str, np.ndarray]:
    """Every array of a sample."""
    found = {f"reference.{name}": image for name, image in sample.reference.items()}
    found["reference_albedo"] = sample.reference_albedo
    for offset, frame in sample.window.items():
        for name, value in vars(frame).items() if frame is not None else ():
            if isinstance(value, np.ndarray):
                found[f"{offset}.{name}"] = value
            elif isinstance(value, dict):
                found.update({f"{offset}.{name}.{key}": image for key, image in value.items()})
    return found


def moving(height: int = 13, width: int = 9) -> Any:
    """Content that moves by (2, −1) pixels from each frame to the next, except for a patch that stands still."""
    rng = np.random.default_rng(0)
    world = rng.random((height + 20, width + 20, 3), np.float32)
    still = np.zeros((height, width), bool)
    still[5:8, 4:7] = True
    patch = rng.random((height, width, 3), np.float32)
    window = {}
    for offset in (-1, 0, 1):
        y, x = 10 + offset, 10 - 2 * offset  # the window slides against the motion
        light = np.where(still[..., None], patch, world[y : y + height, x : x + width])
        vectors = np.where(still[..., None], 0.0, np.array([2.0, -1.0])).astype(np.float32)
        valid = np.ones((height, width), np.float32)
        window[offset] = Frame(
            components={"specular": light},
            forward=vectors,
            backward=-vectors,
            forward_valid=valid,
            backward_valid=valid,
        )
    light = {"specular": window[0].components["specular"]}
    return Sample(window, light, light, np.zeros((height, width, 3), np.float32))


def followed(sample: Any) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each neighbour: the centre's light, the light met along the motion, and where that is valid."""
    centre = sample.window[0].components["specular"]
    rows, columns = np.indices(centre.shape[:2])
    met = {}
    for number, (motion, valid) in trajectories(sample.window, 0, [-1, 1]).items():
        there = (rows + motion[..., 1].astype(int), columns + motion[..., 0].astype(int))
        met[number] = centre, sample.window[number].components["specular"][there], valid
    return met


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_motion_leads_to_the_same_content_in_every_orientation(orientation: int) -> None:
    before = followed(moving())
    after = followed(orient(moving(), orientation))

    for number, (centre, there, valid) in after.items():
        equal = (centre == there).all(axis=-1)
        equal_before = (before[number][0] == before[number][1]).all(axis=-1)
        assert valid.sum() == before[number][2].sum() > 60
        # All but what the still patch hides or uncovers.
        assert (equal & valid).sum() == (equal_before & before[number][2]).sum() > 0.7 * valid.sum()


def test_four_quarter_turns_are_none_and_so_are_two_mirrorings(sample: Any) -> None:
    turned = sample
    for _ in range(4):
        turned = orient(turned, 1)
    mirrored = orient(orient(sample, 4), 4)

    for name, image in layers_of(sample).items():
        assert_array_equal(layers_of(turned)[name], image, err_msg=name)
        assert_array_equal(layers_of(mirrored)[name], image, err_msg=name)


def test_the_eight_orientations_differ_and_none_leaves_a_layer_behind(sample: Any) -> None:
    seen = [layers_of(orient(sample, orientation)) for orientation in range(ORIENTATIONS)]

    assert_array_equal(seen[0]["0.albedo"], layers_of(sample)["0.albedo"])
    for name in seen[0]:
        if not name.endswith(".count"):
            assert len({image[name].tobytes() for image in seen}) == ORIENTATIONS, name
    assert not orient(sample, 0).window.keys() ^ sample.window.keys()


def test_the_variance_of_light_of_one_colour_follows_its_luminance() -> None:
    rng = np.random.default_rng(1)
    tint = rng.random((6, 7, 3)).astype(np.float32) + 0.05
    samples = tint * rng.gamma(1.0, 1.0, (64, 6, 7, 1)).astype(np.float32)
    frame = frame_of_samples(samples)
    sample = Sample({0: frame}, frame.components, frame.components, tint)

    changed = permute_colours(sample, [2, 0, 1]).window[0]
    assert changed is not None
    wanted = frame_of_samples(samples[..., [2, 0, 1]])

    for name in COMPONENTS:
        assert_allclose(changed.components[name], wanted.components[name], rtol=1e-6)
    for name in ("beauty", *COMPONENTS):
        assert_allclose(changed.variance[name], wanted.variance[name], rtol=1e-3)


def frame_of_samples(samples: np.ndarray) -> Frame:
    """Samples n×H×W×3 as light of all three components, in parts of 0, 1 and 3: emission is black."""
    parts = dict(zip(COMPONENTS, (0.0, 1.0, 3.0), strict=True))
    variance = {name: luminance(part * samples).var(axis=0) / 63 for name, part in parts.items()}
    variance["beauty"] = luminance(4.0 * samples).var(axis=0) / 63
    mean = samples.mean(axis=0)
    return Frame(
        components={name: (part * mean).astype(np.float32) for name, part in parts.items()},
        variance={name: value.astype(np.float32) for name, value in variance.items()},
        albedo=mean,
    )


def test_light_albedo_and_reference_are_permuted_alike_and_features_are_not(sample: Any) -> None:
    before, after = layers_of(sample), layers_of(permute_colours(sample, [1, 2, 0]))

    for name, image in before.items():
        kind = name.split(".", 1)[1] if name[0] != "r" else name
        if "component" in kind or "reference" in name or kind == "albedo":
            assert_array_equal(after[name], image[..., [1, 2, 0]], err_msg=name)
        elif kind not in {f"variance.{light}" for light in ("beauty", *COMPONENTS)}:
            assert_array_equal(after[name], image, err_msg=name)


def test_exposure_scales_light_and_leaves_relative_variance_and_albedo(sample: Any) -> None:
    brighter: Any = expose(sample, 1.5)
    gain = 2.0**1.5

    for offset, frame in sample.window.items():
        other = brighter.window[offset]
        assert_allclose(other.beauty, gain * frame.beauty, rtol=1e-5)
        for name in COMPONENTS:
            light, more = luminance(frame.components[name]), luminance(other.components[name])
            assert_allclose(other.variance[name] / more**2, frame.variance[name] / light**2, rtol=1e-4)
        assert_allclose(other.variance["beauty"], gain**2 * frame.variance["beauty"], rtol=1e-5)
        assert_array_equal(other.variance["normal"], frame.variance["normal"])
        assert_array_equal(other.albedo, frame.albedo)
    assert_allclose(brighter.reference["diffuse"], gain * sample.reference["diffuse"], rtol=1e-5)
    assert_array_equal(brighter.reference_albedo, sample.reference_albedo)


def test_world_axes_turn_normals_alone_and_keep_the_angles_between_frames(sample: Any) -> None:
    axes = random_axes(rng_of(0, 0, 0))
    before, after = layers_of(sample), layers_of(turn_world(sample, axes))

    for name, image in before.items():
        if not name.endswith(".normal") or "variance" in name:
            assert_array_equal(after[name], image, err_msg=name)

    def angles(layers: dict[str, Any]) -> Any:
        return np.einsum("yxc,yxc->yx", layers["0.normal"], layers["1.normal"])

    assert_allclose(angles(after), angles(before), rtol=1e-4, atol=1e-5)
    assert not np.allclose(after["0.normal"], before["0.normal"])


def test_random_axes_are_orthogonal_and_of_either_hand() -> None:
    drawn = [random_axes(rng_of(0, 0, index)) for index in range(50)]

    for axes in drawn:
        assert_allclose(axes @ axes.T, np.eye(3), atol=1e-5)
    hands = [np.linalg.det(axes) > 0 for axes in drawn]
    assert 10 < sum(hands) < 40
    assert abs(np.mean(drawn)) < 0.15  # no axis is preferred


def test_an_augmented_sample_is_repeatable_and_leaves_the_first_one_alone(sample: Any) -> None:
    before = {name: image.copy() for name, image in layers_of(sample).items()}
    first, second = (layers_of(augment(sample, rng_of(7, 1, 2))) for _ in range(2))

    for name, image in layers_of(sample).items():
        assert_array_equal(image, before[name], err_msg=name)
        assert_array_equal(first[name], second[name], err_msg=name)
        assert first[name].dtype == image.dtype, name
    other = layers_of(augment(sample, rng_of(7, 2, 2)))
    assert not np.array_equal(other["0.components.diffuse"], first["0.components.diffuse"])


def test_an_absent_neighbour_stays_absent(sample: Any) -> None:
    sample = replace(sample, window={**sample.window, 1: None})
    assert augment(sample, rng_of(0, 0, 0)).window[1] is None
