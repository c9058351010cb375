"""What `pipeline preview` is asked for, from the shot to the files: opens, trains, draws, writes, serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.shot import Shot
from pipeline.device import set_variant
from pipeline.errors import ConfigError
from pipeline.radiosity import course as courses
from pipeline.radiosity.caches import Begun, begin, place_of
from pipeline.radiosity.cameras import View
from pipeline.radiosity.course import Course
from pipeline.radiosity.key_frames import between, key_frames
from pipeline.radiosity.paths import Stop, from_file, orbit
from pipeline.radiosity.presets import preset
from pipeline.radiosity.train import Plan, Progress, Trainer

__all__ = ["ALONG", "ORBIT", "Errand", "Wanted"]

ORBIT, ALONG = "orbit", "shot"

PICTURE_SPP, MOVIE_SPP = 16, 4
"""Polished surfaces are noisy at few samples."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. None: the shot's own, or nothing.

    Attributes:
        frame: whose scene is shown.
        steps, seconds: of training.
        guiding, optimizer, seed: of the training.
        threads: of the network.
        cache: checkpoint to go on with.
        fresh: train anew.
        camera_path: `orbit`, `shot`, or a file.
        pictures: of an orbit.
        out: a picture or a movie.
        spp: of it; None: `PICTURE_SPP`, or `MOVIE_SPP` of each picture of a movie.
        side, denoise, exposure, resolution: of it.
    """

    frame: int | None = None
    steps: int | None = None
    seconds: float | None = None
    guiding: bool = False
    optimizer: str = "auto"
    seed: int = 0
    threads: int | None = None
    cache: Path | None = None
    fresh: bool = False
    camera_path: str | None = None
    pictures: int = 48
    out: Path | None = None
    spp: int | None = None
    side: Any = "lhs"
    denoise: str = "none"
    exposure: float = 0.0
    resolution: tuple[int, int] | None = None


class Errand:
    """One call of the command.

    Args:
        shot: its config.
        wanted: what is asked for.
        folder: of the shot's caches.
        say: told what people ought to know, one line each.
        on_progress: told how far a training is, and where it ends.

    Raises:
        ConfigError: what is asked for cannot be; nothing was loaded.
    """

    def __init__(
        self,
        shot: Shot,
        wanted: Wanted,
        folder: Path,
        *,
        say: Callable[[str], None],
        on_progress: Callable[[Progress, int], None] = lambda progress, steps: None,
    ) -> None:
        from pipeline.radiosity.film import require_ending

        if wanted.out is not None:
            require_ending(wanted.out, moving=wanted.camera_path is not None)
        path = wanted.camera_path
        if path not in (None, ORBIT, ALONG) and not Path(str(path)).is_file():
            raise ConfigError(f"must be {ORBIT}, {ALONG} or a file; there is no '{path}'", path="--camera-path")
        self.shot, self.wanted, self.folder = shot, wanted, folder
        self._say, self._on_progress = say, on_progress
        self._begun: Begun | None = None
        self._opened: Any = None
        if wanted.threads:
            torch.set_num_threads(wanted.threads)

    def made(self) -> dict[str, Any]:
        """Trains, and writes what is to be written; returns what there is to tell of it.

        Raises:
            ConfigError, SceneError, ProductError: what was asked for cannot be made.
            DeviceError, StoreError: it could not be made here.
        """
        wanted = self.wanted
        if wanted.camera_path == ALONG:
            return self._along_the_shot()
        opened = self._open()
        begun = self._train(opened, steps=wanted.steps, seconds=wanted.seconds)
        document = self.told()
        if wanted.out is None:
            return document
        if wanted.camera_path is None:
            from pipeline.radiosity.film import write_picture

            write_picture(
                wanted.out,
                self._picture(opened, begun.trainer.shown, self._sized(opened.view)),
                exposure=wanted.exposure,
            )
            return {**document, "out": str(wanted.out), "pictures": 1}
        stops = self._stops(opened)
        count = self._movie(self._picture(opened, begun.trainer.shown, stop.view) for stop in stops)
        return {**document, "out": str(wanted.out), "pictures": count}

    def serve(self, host: str, port: int, *, ready: Callable[[str], None], seconds: float | None = None) -> None:
        """Opens the viewer, and trains and draws until it is interrupted.

        Args:
            host, port: where it listens.
            ready: told the page's address.
            seconds: ends it by itself.

        Raises:
            As `made`.
        """
        from pipeline.radiosity.viewer import Viewer, require_viser

        require_viser()
        opened = self._open()
        begun = self._begun or self._begin(opened)
        course = self._course(opened, begun, self.wanted.steps, self.wanted.seconds)
        viewer = Viewer(opened, begun, course, host=host, port=port, say=self._say)
        ready(viewer.url)
        try:
            viewer.run(seconds=seconds)
        except KeyboardInterrupt:
            self._say("ended")
        finally:
            course.keep()
            viewer.stop()

    def told(self) -> dict[str, Any]:
        """What there is to tell of the training, plain values."""
        assert self._begun is not None
        begun, progress = self._begun, self._begun.trainer.progress
        return {
            "frame": self._opened.frame,
            "preset": begun.trainer.plan.preset.name,
            "origin": begun.origin,
            "cache": str(begun.file),
            "step": progress.step,
            "steps": progress.step - progress.begun,
            "seconds": round(progress.seconds, 3),
            "residual": progress.checks[-1].residual if progress.checks else None,
            "left_out": list(self._opened.sources.left_out),
        }

    # --- Scenes and trainings -----------------------------------------------------------------------------------

    def _open(self, *, others: tuple[int, ...] = ()) -> Any:
        if self._opened is None:
            from pipeline.radiosity.render import inside_of
            from pipeline.radiosity.session import open_frame

            set_variant()
            frame = self.shot.frame_list[0] if self.wanted.frame is None else self.wanted.frame
            self._opened = open_frame(self.shot, frame, self.folder / "blobs", others=others)
            for line in self._opened.sources.left_out:
                self._say(line)
            shape = inside_of(self._opened.sources, self._opened.view)
            if shape is not None:
                self._say(f"the camera stands inside of shape '{shape}': it sees nothing else")
        return self._opened

    def _plan(self) -> Plan:
        wanted = self.wanted
        size = preset(self.shot.preview.preset)
        return Plan(size, guiding=wanted.guiding, optimiser=wanted.optimizer, seed=wanted.seed)

    def _begin(self, opened: Any) -> Begun:
        trainer = Trainer(opened.sources, self._plan(), say=self._say)
        if self.wanted.fresh:
            place = self.wanted.cache or place_of(self.folder, opened.identity, trainer.plan)
            self._begun = Begun(trainer, "new", place, None)
        else:
            self._begun = begin(trainer, opened.identity, self.folder, file=self.wanted.cache, say=self._say)
        if self._begun.origin == "resumed":
            self._say(f"going on at step {trainer.progress.step} with {self._begun.file}")
        elif self._begun.origin == "warm":
            self._say(f"the scene was changed: beginning with the weights of {self._begun.source}")
        return self._begun

    def _course(self, opened: Any, begun: Begun, steps: int | None, seconds: float | None) -> Course:
        return Course(begun, opened.identity, steps=steps, seconds=seconds)

    def _train(self, opened: Any, *, steps: int | None, seconds: float | None) -> Begun:
        begun = self._begin(opened)
        course = self._course(opened, begun, steps, seconds)
        courses.run(course, on_progress=lambda progress: self._on_progress(progress, course.steps))
        if begun.trainer.progress.stopped:
            self._say(begun.trainer.progress.stopped)
        return begun

    # --- Pictures -----------------------------------------------------------------------------------------------

    def _sized(self, view: View) -> View:
        return view if self.wanted.resolution is None else view.at(*self.wanted.resolution)

    def _stops(self, opened: Any) -> list[Stop]:
        from pipeline.radiosity.render import looking_distance

        view = self._sized(opened.view)
        if self.wanted.camera_path == ORBIT:
            return orbit(view, looking_distance(opened.sources, view), opened.frame, self.wanted.pictures)
        return from_file(Path(str(self.wanted.camera_path)), view, opened.frame)

    def _picture(self, opened: Any, answers: Any, view: View) -> NDArray[np.float32]:
        from pipeline.radiosity.render import guides, render

        wanted = self.wanted
        hides = opened.hide_emitters
        spp = wanted.spp or (PICTURE_SPP if wanted.camera_path is None else MOVIE_SPP)
        picture = render(
            opened.sources, answers, view, side=wanted.side, spp=spp, seed=wanted.seed, hide_emitters=hides
        )
        if wanted.denoise == "none":
            return picture
        from pipeline.radiosity.cleaned import cleaned, denoiser

        return cleaned(denoiser(wanted.denoise), picture, guides(opened.sources, view, hide_emitters=hides))

    def _movie(self, pictures: Iterator[NDArray[np.float32]]) -> int:
        from pipeline.radiosity.film import write_movie

        assert self.wanted.out is not None
        return write_movie(self.wanted.out, pictures, fps=self.shot.fps, exposure=self.wanted.exposure)

    def _along_the_shot(self) -> dict[str, Any]:
        """The shot's frames, each with its own scene: caches are trained for key frames, and blended between them."""
        frames = self.shot.frame_list
        keys = key_frames(self.shot)
        self.wanted = replace(self.wanted, frame=keys[0])
        opened = self._open(others=tuple(frame for frame in frames if frame != keys[0]))
        caches: dict[int, Any] = {}
        for number, key in enumerate(keys):
            if number:
                opened = self._opened = opened.at(key)
            begun = self._train(opened, steps=self.wanted.steps, seconds=self.wanted.seconds)
            caches[key] = begun.trainer.shown
        document = self.told()

        def pictures() -> Iterator[NDArray[np.float32]]:
            current = opened
            for frame in frames:
                current = current if current.frame == frame else current.at(frame)
                yield self._picture(current, between(caches, frame), self._sized(current.view))

        count = self._movie(pictures())
        return {**document, "key_frames": keys, "out": str(self.wanted.out), "pictures": count}
