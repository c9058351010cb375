"""A shot whose products are written by hand, at any size and without a renderer: something for a review to show."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.load import load_shot
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.job import Frozen, Job
from pipeline.farm.products import Products
from pipeline.farm.store import LocalStore
from pipeline.images import deliverable, viewing
from pipeline.images.channels import LAYERS
from pipeline.images.proxy import proxies
from pipeline.render.channels import COLOUR, COUNT, FEATURES, VOTES
from pipeline.render.moments import Moments, combine

__all__ = ["Made", "claimed", "moments"]


def moments(frame: int, width: int, height: int) -> Moments:
    """Sums of four samples a pixel: a ramp with noise, and a bright square whose place is the frame's."""
    rng = np.random.default_rng(frame)
    pixels = width * height
    sums = {block.name: np.zeros((pixels, block.channels), np.float32) for block in (*COUNT, *COLOUR, *FEATURES)}
    ramp = np.linspace(0.02, 1.5, width, dtype=np.float32)[None].repeat(height, 0)
    ramp[height // 4 : height // 2, 10 + frame % 10 * 4 : 30 + frame % 10 * 4] = 8.0
    tint = np.array([1.0, 0.7, 0.4], np.float32)
    light = (ramp.reshape(-1, 1) * tint)[:, None] * rng.exponential(size=(pixels, 4, 1)).astype(np.float32)
    sums["count"][:] = 2
    sums["half_a"][:, 3:6], sums["half_b"][:, 3:6] = light[:, :2].sum(1), light[:, 2:].sum(1)
    square = ((light @ np.array([0.2126, 0.7152, 0.0722], np.float32)) ** 2).sum(1)
    sums["squares"][:, 0] = sums["squares"][:, 2] = square
    sums["feature_count"] = np.full((pixels, 1), 4, np.float32)
    sums["alpha"][:], sums["hit"][:] = 4, 4
    sums["albedo"][:], sums["albedo_square"][:] = 2.0, 1.0
    sums["normal"][:, 2], sums["normal_square"][:] = 4, 4 / 3
    sums["depth"][:], sums["depth_square"][:] = 12, 36
    return Moments(width, height, 0, pixels, sums, np.ones((pixels, VOTES), np.uint32), 4.0)


@dataclass
class Made:
    """A store with the shot's job.

    Attributes:
        project: directory with `shots/lamp/shot.yaml`.
        beauty: of the frames that are done, H×W×3 as half floats.
    """

    project: Path
    store: LocalStore
    job: Job
    products: Products
    width: int
    height: int
    beauty: dict[int, np.ndarray]

    @property
    def shot_file(self) -> Path:
        return self.project / "shots" / "lamp" / "shot.yaml"

    def begin(self, frame: int) -> Moments:
        """The first round of a frame."""
        sums, pixels = moments(frame, self.width, self.height), self.width * self.height
        plan = {
            "map": np.full((self.height, self.width), 4, np.uint32),
            "start": np.zeros((self.height, self.width), np.uint32),
        }
        publish = self.products.publish
        publish(names.samples(frame, 0), {"slices": 1, "samples": 4 * pixels, "bounds": [0, pixels]}, plan)
        facts = {"samples": 4 * pixels, "seconds": 1.5, "shapes": [], "dropped": 0, "clipped": 0, "splits": True}
        facts["samples_per_second"] = 1e6
        publish(names.buffers(frame, 0), facts, sums.arrays())
        judged = np.linspace(0, 0.1, pixels, dtype=np.float32).reshape(self.height, self.width)
        publish(names.error(frame, 0), {"mean": 0.05, "p99": 0.1, "spp": 4.0, "seconds": 1.5}, {"error": judged})
        return sums

    def finish(self, frame: int) -> None:
        """A frame with its deliverable."""
        noisy, pixels = combine(self.begin(frame)).beauty, self.width * self.height
        stopped = {"mean": 0.05, "p99": 0.1, "spp": 4.0, "reason": "target"}
        self.products.publish(names.samples(frame, 1), {"slices": 0, "samples": 0, **stopped})
        self.products.publish(names.stop(frame), {"round": 0, **stopped})
        clean = np.clip(noisy * 0.5 + noisy.mean(1, keepdims=True) * 0.5, 0, 60000).astype(np.float32)
        layers: dict[str, Any] = {
            layer.name: np.zeros((self.height, self.width, len(layer.channels)), np.float32) for layer in LAYERS
        }
        layers |= {"beauty": np.concatenate([clean, np.ones_like(clean[..., :1])], -1), "noisy": noisy}
        layers["error"] = np.linspace(0, 0.1, pixels, dtype=np.float32).reshape(self.height, self.width)
        layers["samples"] = np.full((self.height, self.width), 4, np.float32)
        page = deliverable.Deliverable("lamp", frame, Fraction(24), self.job.hash, 4.0, 2.0, layers)
        exr, _ = deliverable.encode(page)
        self.beauty[frame] = clean.astype(np.float16)
        stem = f"lamp.{frame}"
        self.store.create(self.products.name(f"frames/{stem}.exr"), exr)
        self.store.create(self.products.name(f"review/{stem}.png"), viewing.png_bytes(viewing.to_display(clean)))
        facts = {
            **{"exr": f"frames/{stem}.exr", "png": f"review/{stem}.png", "exr_blake2b": f"{frame:064x}"[::-1]},
            **{"round": 0, "mean": 0.05, "p99": 0.1, "spp": 4.0, "seconds": 1.5, "denoise_seconds": 0.4},
            **{"degraded": False, "reason": "target", "size": [self.width, self.height]},
        }
        self.products.publish(names.frame_product(frame), facts, proxies(layers))


def claimed(folder: Path, shot_yaml: str) -> Made:
    """A shot in a folder, and a job of it that has no products yet."""
    place = folder / "shots" / "lamp"
    place.mkdir(parents=True)
    (place / "shot.yaml").write_text(shot_yaml)
    (place / "scene.xml").write_text('<scene version="3.0.0"/>')
    shot = load_shot(str(place / "shot.yaml"))
    store = LocalStore(folder / "renders")
    frozen = Frozen(shot.model_dump(mode="json", by_alias=True), {"variant": "test", "key": "0123456789ab"}, {})
    job, _ = jobs.claim(store, "lamp", frozen, frames=tuple(shot.frame_list))
    assert shot.resolution is not None
    return Made(folder, store, job, Products(store, job), *shot.resolution, {})
