"""A small frame whose truth is known: a lit, chequered wall with a shiny half and a lamp in a corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.render.buffers import FrameBuffers, luminance


@dataclass(frozen=True)
class Example:
    """A frame with 16 noisy samples a pixel, and what it would be without noise."""

    frame: FrameBuffers
    truth: np.ndarray  # H×W×3 beauty


def make_example(seed: int = 0, height: int = 48, width: int = 64, spp: int = 16) -> Example:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    chequer = np.where((x // 8 + y // 8) % 2 == 0, 0.8, 0.2)[..., None]
    albedo = (chequer * np.array([1.0, 0.8, 0.6])).astype(np.float32)
    irradiance = (0.2 + 1.5 * np.exp(-((x - 20) ** 2 + (y - 24) ** 2) / 600))[..., None]
    shine = (np.where(x > width / 2, 0.3, 0.0) * (1 + 0.5 * np.sin(y / 9)))[..., None]
    lamp = np.where((x < 6) & (y < 6), 5.0, 0.0)[..., None]
    truth = {
        "emission": np.broadcast_to(lamp, (height, width, 3)),
        "diffuse": albedo * irradiance,
        "specular": np.broadcast_to(shine, (height, width, 3)),
    }
    # Gamma-distributed light, as paths give it: relative standard deviation 1 per sample; a lamp itself has none.
    samples = {
        name: mean * (1.0 if name == "emission" else rng.gamma(1.0, 1.0, (spp, height, width, 1)))
        for name, mean in truth.items()
    }
    samples = {name: np.broadcast_to(s, (spp, height, width, 3)).astype(np.float32) for name, s in samples.items()}
    means = {name: s.mean(axis=0) for name, s in samples.items()}
    halves = [np.concatenate([s[first::2].mean(axis=0) for s in samples.values()], axis=-1) for first in (0, 1)]
    variance = {name: luminance(s).var(axis=0, ddof=1) / spp for name, s in samples.items()}
    variance["beauty"] = luminance(sum(samples.values())).var(axis=0, ddof=1) / spp
    none = np.zeros((height, width), np.float32)
    variance |= {"albedo": none, "normal": none, "depth": none}
    normal = np.zeros((height, width, 3), np.float32)
    normal[..., 2] = 1.0
    frame = FrameBuffers(
        **means,
        albedo=albedo,
        normal=normal,
        depth=none + 4.0,
        alpha=none + 1.0,
        forward=np.zeros((height, width, 2), np.float32),
        backward=np.zeros((height, width, 2), np.float32),
        forward_valid=none,
        backward_valid=none,
        ids=np.ones((height, width), np.uint32),
        count=none + spp,
        half_a=halves[0],
        half_b=halves[1],
        variance=variance,
    )
    return Example(frame, np.sum(list(truth.values()), axis=0).astype(np.float32))


@pytest.fixture(scope="session")
def example() -> Example:
    return make_example()


@pytest.fixture(scope="session")
def without_noise() -> FrameBuffers:
    """Every pixel is the same, and so is every sample."""
    height, width = 24, 20
    colour = np.full((height, width, 3), 0.5, np.float32)
    none = np.zeros((height, width), np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    normal[..., 2] = 1.0
    half = np.concatenate([colour, colour, colour], axis=-1)
    names = ("beauty", "emission", "diffuse", "specular", "albedo", "normal", "depth")
    return FrameBuffers(
        colour, colour, colour, colour, normal, none + 1, none + 1, np.zeros((height, width, 2), np.float32),
        np.zeros((height, width, 2), np.float32), none, none, none.astype(np.uint32), none + 4, half, half,
        dict.fromkeys(names, none),
    )  # fmt: skip
