"""Draws from stored sequences: repeatable, where there is something to see, and pooled as a frame's moments are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.denoise.frame import Frame
from pipeline.denoise.training.patches import Crop, Sample, assemble, draw, rng_of
from pipeline.denoise.training.sequences import Sequence
from pipeline.errors import ProductError

WHOLE = Crop(0, 0, 20)


def samples_of(sequence: Sequence, crop: Crop = WHOLE, **options: Any) -> Iterator[Any]:
    return (assemble(sequence, rng_of(0, 0, index), crop, **options) for index in count())


ALL = 64 + 3 * 96
"""Samples of a centre frame that has those of the reference too."""


def frames_of(sample: Sample) -> list[Any]:
    """The frames that are there and were drawn from sub-buffers."""
    return [frame for frame in sample.window.values() if frame is not None and frame.count[0, 0] != ALL]


def is_uneven(sample: Sample) -> bool:
    return any(frame.count.min() < frame.count.max() for frame in frames_of(sample))


def test_a_draw_is_a_function_of_seed_and_epoch_and_index(sequence: Sequence) -> None:
    def drawn(*key: int) -> tuple[Any, ...]:
        rng = rng_of(*key)
        y, x = draw(sequence, rng, 8)
        centre: Any = assemble(sequence, rng, Crop(y, x, 8)).window[0]
        return y, x, centre.count.tolist(), centre.components["diffuse"].tolist()

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    others = [drawn(*key) for key in ((1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3))]
    assert all(a != b for k, a in enumerate(others) for b in others[:k])


def test_windows_lie_where_something_varies(sequence_of: Callable[..., Sequence]) -> None:
    flat = sequence_of(height=64, width=64)
    colour, features = np.full_like(flat.colour, 0.25), np.full_like(flat.features, 0.5)
    colour[..., :16, 40:, :] = np.random.default_rng(0).random(colour[..., :16, 40:, :].shape)
    busy = replace(flat, colour=colour, features=features)

    corners = np.array([draw(busy, rng_of(0, 0, index), 16) for index in range(200)])
    assert corners.min() >= 0
    assert corners.max() <= 64 - 16
    met = (corners[:, 0] < 16) & (corners[:, 1] > 40 - 16)
    evenly = (16 / 49) * (24 / 49)
    assert met.mean() > 3 * evenly
    assert not met.all()  # flat walls come up too


def test_a_window_may_be_as_large_as_the_frame_and_no_larger(sequence: Sequence) -> None:
    assert draw(sequence, rng_of(0, 0, 0), 20)[1] == 0
    with pytest.raises(ValueError, match="24×20"):
        draw(sequence, rng_of(0, 0, 0), 21)


def test_light_in_a_crop_is_that_of_the_frame(sequence: Sequence) -> None:
    sequence = replace(sequence, spp=sequence.spp[-1:], colour=sequence.colour[:, -1:], rms=sequence.rms[:, -1:],
                       features=sequence.features[:, -1:], features_rms=sequence.features_rms[:, -1:])  # fmt: skip
    sample = next(s for s in samples_of(sequence, Crop(3, 5, 12)) if None not in s.window.values())

    for offset, frame in sample.window.items():
        seen = sequence.colour[1 + offset, 0, 3:15, 5:17].astype(np.float32)
        for k, name in enumerate(("emission", "diffuse", "specular")):
            assert_array_equal(frame.components[name], seen[..., 3 * k : 3 * k + 3])
        assert_array_equal(frame.alpha, sequence.features[1 + offset, 0, 3:15, 5:17, 6])
        assert_array_equal(frame.backward, sequence.motion[1 + offset, 3:15, 5:17, 2:4])
        assert_array_equal(frame.forward_valid, sequence.motion[1 + offset, 3:15, 5:17, 4])
    assert_array_equal(sample.reference["specular"], sequence.reference[3:15, 5:17, 6:9])
    assert_array_equal(sample.reference_albedo, sequence.reference_albedo[3:15, 5:17])


def test_even_samples_have_one_reachable_count_and_all_scales_come_up(sequence: Sequence) -> None:
    seen = []
    for _, sample in zip(range(200), samples_of(sequence), strict=False):
        if not is_uneven(sample):
            counts = {int(frame.count[0, 0]) for frame in frames_of(sample)}
            assert len(counts) == 1
            seen.append(counts.pop())

    assert all(spp % 4 == 0 and 4 <= spp <= 64 for spp in seen)
    shares = [np.mean([low <= spp < 2 * low for spp in seen]) for low in (4, 8, 16, 32)]
    assert min(shares) > 0.12  # log-uniform: about a quarter each


def test_uneven_counts_are_sums_of_the_first_sub_buffers_and_say_what_was_pooled(sequence: Sequence) -> None:
    # Light of each sub-buffer is its number: the pooled light tells which were taken.
    colour = np.broadcast_to(np.arange(5, dtype=np.float16)[:, None, None, None], sequence.colour.shape)
    numbered = replace(sequence, colour=colour)
    spp = np.array([4, 4, 8, 16, 32])
    sums = np.cumsum(spp)
    means = np.cumsum(spp * np.arange(5)) / sums
    found = [s for _, s in zip(range(60), samples_of(numbered), strict=False) if is_uneven(s)]

    assert found
    for sample in found:
        for frame in frames_of(sample):
            level = np.searchsorted(sums, frame.count)
            assert_array_equal(sums[level], frame.count)
            # The two sub-buffers of 4 samples may stand in for each other.
            expected = np.where(level == 0, frame.components["diffuse"][..., 0], means[level])
            assert_allclose(frame.components["diffuse"][..., 0], expected, rtol=1e-5)
            assert set(np.unique(frame.components["diffuse"][level == 0])) <= {0.0, 1.0}


def test_now_and_then_the_centre_has_all_samples_and_variances_to_match(sequence: Sequence) -> None:
    drawn = [s for _, s in zip(range(300), samples_of(sequence, Crop(2, 3, 16)), strict=False)]
    plenty = [s for s in drawn if s.window[0].count[0, 0] == ALL]

    assert 0.04 < len(plenty) / len(drawn) < 0.18
    frame, crop = plenty[0].window[0], (slice(2, 18), slice(3, 19))
    weights = [*sequence.spp, 3 * 96]
    stacked = np.stack([*sequence.colour[1, :, *crop], sequence.raw[crop]]).astype(np.float64)
    expected = np.average(stacked, axis=0, weights=weights)
    assert_allclose(frame.components["diffuse"], expected[..., 3:6], rtol=1e-3)
    fewer = next(f for s in drawn for f in frames_of(s) if (f.count == 64).all() and f is s.window.get(0))
    assert_allclose(frame.variance["diffuse"] / fewer.variance["diffuse"], 64 / ALL, rtol=1e-3)
    assert_array_equal(frame.albedo, sequence.reference_albedo[crop])


def test_uneven_maps_are_other_ones_in_each_frame_and_reach_4_times_the_neighbour(sequence: Sequence) -> None:
    found = [s for _, s in zip(range(100), samples_of(sequence), strict=False) if is_uneven(s)]
    steps = [np.log2(frame.count[:, 1:] / frame.count[:, :-1]) for s in found for frame in frames_of(s)]

    assert max(np.abs(step).max() for step in steps) >= 2
    assert np.mean([np.abs(step).mean() for step in steps]) < 1  # smooth for the most part
    complete = [s for s in found if None not in s.window.values()]
    assert not any(np.array_equal(s.window[-1].count, s.window[1].count) for s in complete)


def test_uneven_maps_and_ends_of_shots_come_up_as_often_as_they_should(sequence: Sequence) -> None:
    drawn = [s for _, s in zip(range(400), samples_of(sequence, Crop(0, 0, 16)), strict=False)]

    assert 0.2 < np.mean([is_uneven(s) for s in drawn]) < 0.4  # 1/3, less maps that happen to be flat
    assert 0.05 < np.mean([None in s.window.values() for s in drawn]) < 0.16
    assert {o for s in drawn for o, frame in s.window.items() if frame is None} == {-1, 1}


def test_behind_an_absent_frame_all_are_absent(sequence_of: Callable[..., Sequence]) -> None:
    for _, sample in zip(range(100), samples_of(sequence_of(radius=3), Crop(0, 0, 4)), strict=False):
        present = [sample.window[offset] is not None for offset in range(-3, 4)]
        assert present[3]
        assert sum(a != b for a, b in pairwise(present)) <= 1


def test_a_smaller_window_can_be_asked_for_and_no_larger_one(sequence: Sequence) -> None:
    assert set(next(samples_of(sequence, radius=0)).window) == {0}
    with pytest.raises(ProductError, match="1 frames on either side"):
        next(samples_of(sequence, radius=2))


@pytest.mark.parametrize("stored", [False, True], ids=["as_rendered", "as_stored"])
def test_a_pooled_frame_is_what_one_pass_of_all_samples_gives(
    mitsuba: Any, tiny_scenes: Any, tmp_path: Path, stored: bool
) -> None:
    from pipeline.denoise.training.record import record
    from pipeline.denoise.training.sequences import read, write
    from pipeline.denoise.training.take import Take
    from pipeline.render.moments import add_round, combine
    from pipeline.render.passes import prepare, render_pass
    from pipeline.scene.load import load

    take = Take(size=16, reference_spp=2, sub_buffers=(8, 8, 16))
    sequence = record(tiny_scenes, 5, tmp_path, take)
    if stored:
        write(tmp_path / "5.npz", sequence)
        sequence = read(tmp_path / "5.npz")
    full = (s for s in samples_of(sequence, Crop(0, 0, 16)) if {32} == {n for f in frames_of(s) for n in f.count.flat})
    sample = next(s for s in full if None not in s.window.values())

    spec = tiny_scenes.place(tiny_scenes.recipe(5, resolution=(16, 16), frames=3), tmp_path)
    none = np.zeros((16, 16), np.uint32)
    for offset, frame in sample.window.items():
        moments = render_pass(prepare(load(spec, 2 + offset, tmp_path)), none + 32, none, seed=5)
        wanted = Frame.of(combine(add_round(None, moments)))
        rounding = 2e-3 if stored else 1e-5  # of float16, of float32
        for name in ("emission", "diffuse", "specular"):
            assert_allclose(frame.components[name], wanted.components[name], rtol=rounding, atol=rounding / 100)
        for name in ("beauty", "emission", "diffuse", "specular", "albedo", "normal"):
            mean: Any = wanted.beauty if name == "beauty" else wanted.components.get(name, getattr(wanted, name, None))
            least = rounding * float(np.max(mean**2)) / 31 + 1e-9  # a difference of squares
            assert_allclose(frame.variance[name], wanted.variance[name], rtol=10 * rounding, atol=least, err_msg=name)
        for name in ("albedo", "normal", "alpha", "forward", "backward", "forward_valid", "backward_valid"):
            assert_allclose(getattr(frame, name), getattr(wanted, name), atol=rounding, rtol=rounding, err_msg=name)
    assert np.abs(sample.window[0].forward).max() > 0.3  # the box moves
    assert max(sample.window[0].variance["diffuse"].flat) > 0
