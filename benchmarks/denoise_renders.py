"""Renders of the test sequences, through the project's own passes, kept on disk between runs.

A file is named by what its samples depend on: the frame's scene by content, the resolution, the seed, and the versions
of the renderer. Samples are numbered, so 64 samples are the 16 of an earlier file and 48 more; long renders go on
where an interrupted one stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.denoise_sequences import Clip
from benchmarks.referee import Reference
from pipeline.device import cache_directory, environment, set_variant
from pipeline.render.buffers import FrameBuffers
from pipeline.render.moments import Moments, add_round, combine
from pipeline.scene import spec
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import SceneSpec

if TYPE_CHECKING:
    from pipeline.render.passes import Program

__all__ = ["Renders", "Truth", "standing_still"]

CHUNK = 256
"""Samples per pixel between two saves of a long render."""

HALVES = (900_001, 900_002)
"""Seeds of a reference's two halves; inputs have small ones."""

FORMAT = 1
REACH = 4
"""Frames before and after the judged ones that are frozen with them: a window of radius 3, and its motion."""


@dataclass(frozen=True)
class Truth:
    """The reference of one frame: two renders that share nothing, never denoised.

    Attributes:
        a, b: the halves, with all components and features.
        both: all samples of both.
    """

    a: FrameBuffers
    b: FrameBuffers
    both: FrameBuffers

    @cached_property
    def beauty(self) -> Reference:
        return Reference(self.a.beauty, self.b.beauty)


class Renders:
    """Renders of clips at one resolution, from the cache where they are there.

    Args:
        resolution: (width, height), pixels.
        folder: of the cache; None takes `benchmarks` in the user's cache directory.
        say: takes one line of progress.
    """

    def __init__(
        self, resolution: tuple[int, int], folder: Path | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self.resolution = resolution
        self.folder = folder or cache_directory() / "benchmarks"
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._specs: dict[tuple[str, int], SceneSpec] = {}
        self._loaded: tuple[str, Program] | None = None

    def buffers(self, clip: Clip, frame: int, spp: int, seed: int) -> FrameBuffers:
        """A frame at `spp` samples per pixel; fewer samples with the same seed are the first of more."""
        return combine(self._moments(clip, frame, spp, seed))

    def truth(self, clip: Clip, frame: int, spp: int) -> Truth:
        """The reference of a frame, of `spp` samples per pixel in all."""
        a, b = (self._moments(clip, frame, spp // 2, seed) for seed in HALVES)
        both = combine(add_round(a, b))
        # What the first samples voted for cannot be added up.
        halves = combine(a), combine(b)
        return Truth(*halves, dataclasses.replace(both, ids=halves[0].ids))

    def name(self, clip: Clip, frame: int) -> str:
        """Of a frame's renders: all that its samples depend on, but the seed."""
        return self._directory(clip, frame).name

    def programs(self, clip: Clip, frames: Iterable[int]) -> dict[int, Program]:
        """The scenes of some frames, loaded side by side, for who goes from one to the other and back."""
        set_variant()
        from pipeline.render.passes import prepare
        from pipeline.scene.load import load

        self._loaded = None  # an earlier scene goes before the next ones come
        blobs = self.folder / "blobs"
        return {frame: prepare(load(self._spec(clip, frame), frame, blobs)) for frame in frames}

    def moving(self, clip: Clip, frame: int) -> frozenset[int]:
        """Ids (as in `FrameBuffers.ids`) of the shapes that move by themselves, or in an unknown way."""
        path = self._directory(clip, frame) / "moving.json"
        if not path.exists():
            still = np.eye(4)
            shapes = self._program(clip, frame).fs.shapes
            moving = [
                index + 1
                for index, shape in enumerate(shapes)
                if not (shape.valid_previous and shape.valid_next)
                or not (np.allclose(shape.to_previous, still) and np.allclose(shape.to_next, still))
            ]
            _replace(path, lambda temporary: temporary.write_text(json.dumps(moving)))
        return frozenset(json.loads(path.read_text()))

    # --- Samples ----------------------------------------------------------------------------------------------

    def _moments(self, clip: Clip, frame: int, spp: int, seed: int) -> Moments:
        folder = self._directory(clip, frame) / f"s{seed}"
        done, total = _most(folder, spp)
        while done < spp:
            more = min(CHUNK, spp - done)
            began = time.perf_counter()
            total = self._more(clip, frame, total, done, more, seed)
            done += more
            rate = more * total.width * total.height / (time.perf_counter() - began) / 1e6
            self._say(f"{clip.name} {frame} seed {seed}: {done} of {spp} spp, {rate:.2f} M samples/s")
            name = f"{spp}.npz" if done == spp else "unfinished.npz"
            arrays = {"spp": np.array([done]), **total.arrays()}
            _replace(folder / name, lambda temporary, arrays=arrays: _savez(temporary, arrays))  # type: ignore[misc]
        if done == spp and spp > CHUNK:
            (folder / "unfinished.npz").unlink(missing_ok=True)
        assert total is not None
        return total

    def _more(self, clip: Clip, frame: int, total: Moments | None, done: int, more: int, seed: int) -> Moments:
        program = self._program(clip, frame)
        from pipeline.render.passes import Layers, render_pass  # needs the variant

        width, height = self.resolution
        counts, start = np.full((height, width), more, np.uint32), np.full((height, width), done, np.uint32)
        return add_round(total, render_pass(program, counts, start, seed=seed, layers=Layers.ALL))

    def _program(self, clip: Clip, frame: int) -> Program:
        """The frame's scene, moved on from the one that is loaded where both are of one clip."""
        set_variant()
        from pipeline.render.passes import prepare
        from pipeline.scene.load import load, update

        wanted = self._spec(clip, frame)
        before = self._loaded
        self._loaded = None
        if before is not None and before[0] == clip.name:
            if before[1].fs.frame == frame:
                self._loaded = before
                return before[1]
            program = prepare(update(before[1].fs, wanted, frame), before[1])
        else:
            del before  # an earlier scene goes before the next one comes
            program = prepare(load(wanted, frame, self.folder / "blobs"))
        self._loaded = (clip.name, program)
        return program

    # --- Names ------------------------------------------------------------------------------------------------

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return environment()

    def _spec(self, clip: Clip, frame: int) -> SceneSpec:
        if (clip.name, frame) not in self._specs:
            frames = clip.frames(REACH)
            frozen = freeze(clip.shot, frames, self.folder / "blobs")
            config = {**clip.shot.model_dump(mode="json", by_alias=True), "resolution": list(self.resolution)}
            for number in frames:
                self._specs[clip.name, number] = spec.of(config, frozen, number)
        return self._specs[clip.name, frame]

    def _directory(self, clip: Clip, frame: int) -> Path:
        """Where the renders of a frame are: named by all that its samples depend on, but the seed."""
        told = {"format": FORMAT, "frame": frame, "scene": self._spec(clip, frame).to_json(), **self._environment}
        key = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
        return self.folder / "renders" / clip.name / f"{frame}-{key}"


def _most(folder: Path, spp: int) -> tuple[int, Moments | None]:
    """The render with the most samples that `spp` samples can begin with."""
    finished = sorted((int(path.stem), path) for path in folder.glob("[0-9]*.npz"))
    candidates = [path for samples, path in finished if samples <= spp]
    best: tuple[int, Moments | None] = (0, None)
    for path in [*candidates[-1:], folder / "unfinished.npz"]:
        if not path.exists():
            continue
        with np.load(path) as arrays:
            done = int(arrays["spp"][0])
            if best[0] < done <= spp:
                best = done, Moments.from_arrays({name: arrays[name] for name in arrays.files})
    return best


def _savez(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Makes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
    write(temporary)
    os.replace(temporary, path)


def standing_still(buffers: FrameBuffers) -> FrameBuffers:
    """The frame as it is in a sequence in which nothing moves."""
    none, sure = np.zeros_like(buffers.forward), np.ones_like(buffers.forward_valid)
    return dataclasses.replace(buffers, forward=none, backward=none, forward_valid=sure, backward_valid=sure)
