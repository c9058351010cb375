"""Per-pixel sums of render passes: plain numpy, added up, and turned into means and variances.

A `Moments` covers a range of a frame's pixels (a slice), or the whole frame. Slices of one round are joined, rounds
are added. Sums are held as float32, 6e-8 of their value: a variance below about 1e-6 of the squared mean is rounding,
not noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProductError
from pipeline.render.buffers import FrameBuffers, luminance

__all__ = ["Combination", "Moments", "add_round", "aov_means", "combine", "join", "light_means", "merged"]

Combination = Literal["pooled", "unbiased"]

SUMS = ("count", "half_a", "half_b", "squares")
FEATURE_SUMS = (
    *("feature_count", "albedo", "normal", "alpha", "hit", "depth", "forward", "backward", "motion_valid"),
    *("albedo_square", "normal_square", "depth_square"),
)
EXTRA_SUMS = ("lights", "aovs")
"""Where a shot asks for them: radiance of each group of lights (RGB each), of every round; AOVs of the first one."""
ROUND_MEANS = ("round_colour", "round_variance")
"""Weighted by round, for the unbiased combination: Σ W_r x̄_r (emission, diffuse, specular: 9) and
Σ W_r² Var(x̄_r) (beauty, emission, diffuse, specular: 4); W_r is the round's mean number of samples per pixel."""


@dataclass(frozen=True)
class Moments:
    """Sums over samples, pixels × channels, float32 (`channels.py` says what they are); `votes` are ballots.

    Attributes:
        width, height: of the frame.
        first, last: flat pixel range [first, last) that the rows cover.
        sums: by name; features are there if at least one pass recorded them.
        votes: pixels × 8 (32 with mattes) uint32: what the first samples saw: index + 2 of a shape, 1 background, 0 no
            such sample; None without features.
        round_weight: Σ W_r over the rounds added so far; 0 for a pass of its own.
    """

    width: int
    height: int
    first: int
    last: int
    sums: dict[str, NDArray[np.float32]]
    votes: NDArray[np.uint32] | None = None
    round_weight: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples in the sums."""
        return int(self.sums["count"].sum(dtype=np.float64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the product container. `from_arrays` is the inverse."""
        arrays: dict[str, NDArray[Any]] = {
            "extent": np.array([self.width, self.height, self.first, self.last], dtype=np.int64),
            "round_weight": np.array([self.round_weight]),
            **self.sums,
        }
        if self.votes is not None:
            small = self.votes.max(initial=0) < 2**16
            arrays["votes"] = self.votes.astype(np.uint16) if small else self.votes
        return arrays

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Moments:
        """Raises ProductError when an array is missing or of the wrong size."""
        try:
            width, height, first, last = (int(v) for v in arrays["extent"])
            sums = {name: arrays[name] for name in (*SUMS, *FEATURE_SUMS, *EXTRA_SUMS, *ROUND_MEANS) if name in arrays}
            missing = [name for name in SUMS if name not in sums]
            if missing or any(len(v) != last - first for v in sums.values()):
                raise ProductError(f"moments: missing or cut short: {', '.join(missing) or 'rows'}")
            votes = arrays["votes"].astype(np.uint32) if "votes" in arrays else None
            return Moments(width, height, first, last, sums, votes, float(arrays["round_weight"][0]))
        except KeyError as error:
            raise ProductError(f"moments: no array {error}") from error


def join(slices: Sequence[Moments]) -> Moments:
    """Slices of one round, which partition the frame, as one.

    Raises:
        ProductError: they leave a gap or overlap.
    """
    parts = sorted(slices, key=lambda m: m.first)
    width, height = parts[0].width, parts[0].height
    edges = [0, *(m.last for m in parts)]
    if [m.first for m in parts] != edges[:-1] or edges[-1] != width * height:
        raise ProductError(f"slices do not partition the frame: {[(m.first, m.last) for m in parts]}")
    if len(parts) == 1:
        return parts[0]
    sums = {name: np.concatenate([m.sums[name] for m in parts]) for name in parts[0].sums}
    votes = [m.votes for m in parts if m.votes is not None]
    return Moments(width, height, 0, width * height, sums, np.concatenate(votes) if votes else None)


def merged(first: Moments, second: Moments) -> Moments:
    """Passes of different samples of the same pixels as one pass; their numbers of samples and seconds are added."""
    sums = {
        name: (value.astype(np.float64) + second.sums[name]).astype(np.float32) for name, value in first.sums.items()
    }
    votes = first.votes if second.votes is None or first.votes is None else first.votes | second.votes
    facts = {name: value + second.facts[name] for name, value in first.facts.items()}
    return Moments(first.width, first.height, first.first, first.last, sums, votes, facts=facts)


def add_round(total: Moments | None, this: Moments, combination: Combination = "pooled") -> Moments:
    """The frame's moments with one more round: addition, and for the unbiased combination the weighted means of the
    rounds too (52 bytes a pixel that the pooled one does without)."""
    weight = this.samples / (this.width * this.height)
    rounds = {}
    if combination == "unbiased":
        rounds["round_colour"] = (weight * _colour_means(this)).astype(np.float32)
        rounds["round_variance"] = (weight**2 * _colour_variances(this)).astype(np.float32)
    if total is None:
        return Moments(this.width, this.height, 0, this.last, {**this.sums, **rounds}, this.votes, weight)
    sums = dict(total.sums)
    for name, value in {**this.sums, **rounds}.items():
        sums[name] = (sums[name].astype(np.float64) + value).astype(np.float32) if name in sums else value
    votes = total.votes if this.votes is None else this.votes if total.votes is None else total.votes + this.votes
    return Moments(this.width, this.height, 0, this.last, sums, votes, total.round_weight + weight)


def combine(moments: Moments, combination: Combination = "pooled") -> FrameBuffers:
    """Means and variances of a frame.

    Args:
        moments: a whole frame's, from `add_round`.
        combination: `pooled` weighs every sample alike: the lowest variance, but where a round's sample counts were
            chosen by looking at earlier samples it leans to the dark (a firefly draws the samples that dilute it).
            `unbiased` weighs the means of the rounds by weights that are the same all over the image, so that no
            pixel's estimate depends on its own samples.

    Raises:
        ProductError: no round has features; or unbiased, and the rounds were added without their means.
    """
    height, width = moments.height, moments.width
    sums = moments.sums
    if "feature_count" not in sums:
        raise ProductError("no pass recorded features: the first round is missing")
    if combination == "unbiased" and "round_colour" not in sums:
        raise ProductError("the rounds were pooled: their unbiased combination was not asked for when they were added")
    if combination == "unbiased":
        colour = sums["round_colour"] / moments.round_weight
        colour_variance = sums["round_variance"] / moments.round_weight**2
    else:
        colour, colour_variance = _colour_means(moments), _colour_variances(moments)

    def image(values: NDArray[Any]) -> NDArray[np.float32]:
        return np.ascontiguousarray(values.astype(np.float32).reshape(height, width, -1).squeeze(-1))

    def vectors(values: NDArray[Any]) -> NDArray[np.float32]:
        return np.ascontiguousarray(values.astype(np.float32).reshape(height, width, -1))

    count_a, count_b = (sums["count"][:, i : i + 1].astype(np.float64) for i in (0, 1))
    half_a = sums["half_a"] / np.maximum(count_a, 1)
    half_b = sums["half_b"] / np.maximum(count_b, 1)
    mean = colour.astype(np.float64)
    half_a, half_b = np.where(count_a > 0, half_a, mean), np.where(count_b > 0, half_b, mean)

    n = sums["feature_count"].astype(np.float64)
    per_sample = 1 / np.maximum(n, 1)
    per_hit = 1 / np.maximum(sums["hit"], 1)
    valid = sums["motion_valid"].astype(np.float64)
    albedo, normal = sums["albedo"] * per_sample, sums["normal"] * per_sample
    depth = sums["depth"] * per_hit
    variance = {
        name: image(colour_variance[:, i : i + 1])
        for i, name in enumerate(("beauty", "emission", "diffuse", "specular"))
    }
    variance["albedo"] = image(_variance(sums["albedo_square"] * per_sample, np.mean(albedo**2, 1, keepdims=True), n))
    variance["normal"] = image(_variance(sums["normal_square"] * per_sample, np.mean(normal**2, 1, keepdims=True), n))
    variance["depth"] = image(_variance(sums["depth_square"] * per_hit, depth**2, sums["hit"].astype(np.float64)))
    return FrameBuffers(
        emission=vectors(colour[:, 0:3]),
        diffuse=vectors(colour[:, 3:6]),
        specular=vectors(colour[:, 6:9]),
        albedo=vectors(albedo),
        normal=vectors(normal),
        depth=image(depth),
        alpha=image(sums["alpha"] * per_sample),
        forward=vectors(sums["forward"] / np.maximum(valid[:, 0:1], 1)),
        backward=vectors(sums["backward"] / np.maximum(valid[:, 1:2], 1)),
        forward_valid=image(valid[:, 0:1] * per_sample),
        backward_valid=image(valid[:, 1:2] * per_sample),
        ids=_most_frequent(moments.votes).reshape(height, width) if moments.votes is not None
        else np.zeros((height, width), np.uint32),
        count=image(count_a + count_b),
        half_a=vectors(half_a),
        half_b=vectors(half_b),
        variance=variance,
    )  # fmt: skip


def light_means(moments: Moments) -> NDArray[np.float32]:
    """Radiance of each group of lights, and last of the lights in none: H×W×G+1×3. Their sum is the pooled beauty.

    Raises:
        ProductError: no pass told lights apart.
    """
    if "lights" not in moments.sums:
        raise ProductError("no pass recorded groups of lights")
    n = np.maximum(moments.sums["count"].sum(1, keepdims=True, dtype=np.float64), 1)
    named = (moments.sums["lights"] / n).reshape(len(n), -1, 3)
    beauty = _colour_means(moments).reshape(-1, 3, 3).sum(1)
    others = np.maximum(beauty - named.sum(1), 0.0)
    found = np.concatenate([named, others[:, None]], axis=1)
    return found.astype(np.float32).reshape(moments.height, moments.width, -1, 3)


def aov_means(moments: Moments) -> NDArray[np.float32]:
    """The AOVs' channels, in their order: H×W×C.

    Raises:
        ProductError: no pass recorded any.
    """
    if "aovs" not in moments.sums:
        raise ProductError("no pass recorded AOVs")
    found = moments.sums["aovs"] / np.maximum(moments.sums["feature_count"], 1)
    return found.astype(np.float32).reshape(moments.height, moments.width, -1)


def _colour_means(moments: Moments) -> NDArray[np.float64]:
    sums = moments.sums
    total = sums["half_a"].astype(np.float64) + sums["half_b"]
    return total / np.maximum(sums["count"].sum(1, keepdims=True, dtype=np.float64), 1)


def _colour_variances(moments: Moments) -> NDArray[np.float64]:
    """Of the mean's luminance: beauty, emission, diffuse, specular."""
    n = moments.sums["count"].sum(1, keepdims=True, dtype=np.float64)
    parts = luminance(_colour_means(moments).reshape(-1, 3, 3))
    means = np.concatenate([parts.sum(1, keepdims=True), parts], axis=1)
    return _variance(moments.sums["squares"] / np.maximum(n, 1), means**2, n)


def _variance(mean_square: NDArray[Any], squared_mean: NDArray[Any], n: NDArray[Any]) -> NDArray[np.float64]:
    """Unbiased variance of a mean of n samples; the squared mean (relative variance 1) where n < 2."""
    spread = np.maximum(mean_square - squared_mean, 0.0) / np.maximum(n - 1, 1)
    return np.where(n >= 2, spread, squared_mean)


def _most_frequent(votes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What most ballots of a row name, less one: index + 1 of a shape, 0 for background. The smallest on a tie.

    Ballots: 0 none cast, 1 background, index + 2 a shape.
    """
    ordered = np.sort(votes, axis=1)
    best = ordered[:, 0].copy()
    run = (best > 0).astype(np.int32)
    length = run.copy()
    for k in range(1, ordered.shape[1]):
        cast = ordered[:, k] > 0
        run = np.where(cast, np.where(ordered[:, k] == ordered[:, k - 1], run + 1, 1), 0)
        better = run > length
        best, length = np.where(better, ordered[:, k], best), np.where(better, run, length)
    return np.maximum(best.astype(np.int64) - 1, 0).astype(np.uint32)
