"""The browser's window on a cache in training: viser shows pictures behind an empty scene, whose camera it moves.

One thread trains and draws in turn, since neither Mitsuba nor torch gain from a second; what people do in the browser
is noted by viser's threads, and looked at between two pieces of work.
"""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.config.load import find_shot
from pipeline.errors import ConfigError, PenumbraError
from pipeline.images.viewing import to_display
from pipeline.radiosity.caches import Begun
from pipeline.radiosity.cameras import View
from pipeline.radiosity.course import Course
from pipeline.radiosity.render import Side, looking_distance, render
from pipeline.radiosity.saved_views import save_view
from pipeline.radiosity.session import Opened
from pipeline.radiosity.viewer_pace import Accumulation, Pace, from_browser, to_browser

__all__ = ["Viewer", "require_viser"]

STILL = 0.3  # seconds without a movement after which the camera rests
RESTING_SAMPLES = 64
STALE = 1.5  # seconds of training after which a resting picture is begun anew
TRAIN_SLICE = 0.15  # seconds of training between two pictures of a resting camera
IDLE = 0.02
JPEG_QUALITY = 85

CAMERA_LABELS = {"lhs": "LHS: the cache", "rhs": "RHS: one bounce more"}


def require_viser() -> Any:
    """The package that serves the viewer.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import viser
    except ImportError as error:
        hint = "pip install 'penumbra-pipeline[preview]', or --out FILE without --serve"
        raise ConfigError("the viewer needs the package `viser`, which is not installed", suggestion=hint) from error
    return viser


@dataclass
class _Window:
    """What one browser is shown.

    Attributes:
        client: viser's handle.
        shown: camera and settings of the last picture; None before the first.
        moved: when they last changed.
        begun: step of the training at which the accumulation began, and when.
        drawn: seconds (monotonic) of the last picture.
    """

    client: Any
    shown: tuple[Any, ...] | None = None
    moved: float = 0.0
    begun: float = 0.0
    pace: dict[Side, Pace] = field(default_factory=lambda: {"lhs": Pace(), "rhs": Pace()})
    mean: Accumulation = field(default_factory=Accumulation)


class Viewer:
    """Serves a preview until it is closed.

    Args:
        opened: the shot's frame.
        begun: its training.
        course: how long it trains, and when it is kept.
        host, port: where it listens; port 0 takes a free one.
        say: told what people ought to know, one line each.

    Attributes:
        url: of the page.
        pictures: sent so far.
    """

    def __init__(
        self, opened: Opened, begun: Begun, course: Course, *, host: str, port: int, say: Callable[[str], None]
    ) -> None:
        viser = require_viser()
        self.opened, self.begun, self.course, self._say = opened, begun, course, say
        self.pictures = 0
        self._server = viser.ViserServer(
            host=host, port=port, label=f"{opened.shot.shot} {opened.frame}", verbose=False
        )
        self.url = f"http://{'localhost' if host in ('0.0.0.0', '127.0.0.1') else host}:{self._server.get_port()}"
        self._distance = looking_distance(opened.sources, opened.view)
        self._windows: dict[int, _Window] = {}
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._build()
        self._server.on_client_connect(self._welcome)

    def run(self, *, seconds: float | None = None) -> None:
        """Trains and draws until `close`, or for so long."""
        ends = None if seconds is None else time.monotonic() + seconds
        while not self._closed.is_set() and (ends is None or time.monotonic() < ends):
            while not self._asked.empty():
                self._asked.get()()
            drawn = self._draw_all()
            training = self._train.value and not self.course.ended
            if training:
                # A moving camera is served first: a single step between two of its pictures.
                self.course.advance(0.0 if drawn == "moving" else TRAIN_SLICE)
                self._tell()
            elif drawn is None:
                time.sleep(IDLE)

    def close(self) -> None:
        """Ends `run`, from any thread."""
        self._closed.set()

    def stop(self) -> None:
        """Stops serving; after `run`."""
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    # --- Pictures -----------------------------------------------------------------------------------------------

    def _draw_all(self) -> str | None:
        """Draws what each browser needs: `moving` if some camera moves, `resting` if something was drawn at all."""
        clients = self._server.get_clients()
        self._windows = {number: self._windows.get(number) or _Window(client) for number, client in clients.items()}
        did = [self._draw(window) for window in self._windows.values()]
        return "moving" if "moving" in did else next((what for what in did if what is not None), None)

    def _draw(self, window: _Window) -> str | None:
        camera, now = window.client.camera, time.monotonic()
        width, height = max(int(camera.image_width), 1), max(int(camera.image_height), 1)
        side: Side = "rhs" if self._side.value == CAMERA_LABELS["rhs"] else "lhs"
        shown = (*camera.wxyz, *camera.position, camera.fov, width, height, side, self._exposure.value)
        changed = shown != window.shown
        if changed:
            window.moved, window.shown = now, shown
        moving = now - window.moved < STILL
        training = self._train.value and not self.course.ended
        stale = training and now - window.begun > STALE
        if changed or stale:
            window.mean.clear()
            window.begun = now
        elif window.mean.samples >= RESTING_SAMPLES or moving:
            return "moving" if moving else None
        pace = window.pace[side]
        size = pace.size(width, height, moving=moving)
        view = from_browser(_rotation(camera.wxyz), np.asarray(camera.position, dtype=np.float64), camera.fov, *size)
        began = time.perf_counter()
        picture = render(
            self.opened.sources,
            self.begun.trainer.shown,
            view,
            side=side,
            first=window.mean.samples,
            hide_emitters=self.opened.hide_emitters,
        )
        if self.pictures:  # the first one waits for the compiler
            pace.note(size[0] * size[1], time.perf_counter() - began)
        mean = window.mean.add(picture)
        pixels = to_display(mean, exposure=float(self._exposure.value))
        window.client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=JPEG_QUALITY)
        self.pictures += 1
        return "moving" if moving else "resting"

    # --- What the page holds ------------------------------------------------------------------------------------

    def _build(self) -> None:
        server, opened = self._server, self.opened
        server.scene.set_up_direction(_up(opened.view))
        gui = server.gui
        gui.configure_theme(dark_mode=True)
        self._progress = gui.add_markdown("")
        self._bar = gui.add_progress_bar(0.0)
        self._train = gui.add_checkbox("Train", True)
        self._side = gui.add_dropdown("Side", tuple(CAMERA_LABELS.values()))
        self._exposure = gui.add_slider("Exposure", min=-10.0, max=10.0, step=0.1, initial_value=0.0)
        frames = opened.shot.frame_list
        with gui.add_folder("Camera"):
            back = gui.add_button("Shot's camera")
            self._frame = gui.add_slider(
                "On its path", min=frames[0], max=max(frames[-1], frames[0] + 1), step=1, initial_value=opened.frame
            )
            self._key = gui.add_number("Keyframe", initial_value=opened.frame, step=1)
            keep = gui.add_button("Save view into shot.yaml")
            self._saved = gui.add_markdown("")
        back.on_click(lambda event: self._place(event.client, opened.view))
        self._frame.on_update(lambda event: self._place(event.client, opened.view_at(int(self._frame.value))))
        keep.on_click(lambda event: self._asked.put(lambda: self._save(event.client)))
        for line in opened.sources.left_out:
            gui.add_markdown(f"⚠ {line}")
        self._tell()

    def _welcome(self, client: Any) -> None:
        self._place(client, self.opened.view)

    def _place(self, client: Any, view: View) -> None:
        """Puts a browser's camera where a view is."""
        if client is None:
            return
        camera = client.camera
        aspect = max(float(camera.aspect), 1e-3)
        _, position, fov = to_browser(view, aspect)
        with client.atomic():
            camera.up_direction = view.to_world[:3, 1]
            camera.position = position
            camera.look_at = position + self._distance * view.forward
            camera.fov = fov

    def _save(self, client: Any) -> None:
        """Writes where a browser's camera is into the shot."""
        if client is None:
            return
        camera, size = client.camera, self.opened.view
        view = from_browser(
            _rotation(camera.wxyz), np.asarray(camera.position, dtype=np.float64), camera.fov, size.width, size.height
        )
        distance = float(np.linalg.norm(np.asarray(camera.look_at) - np.asarray(camera.position)))
        frame = int(self._key.value)
        try:
            save_view(find_shot(self.opened.shot.directory), frame, view, distance or self._distance)
        except PenumbraError as error:
            self._saved.content = f"**not saved:** {error}"
            self._say(str(error))
            return
        self._saved.content = f"saved as the camera's keyframe {frame}"
        self._say(f"the view was saved as keyframe {frame} of {self.opened.shot.shot}")

    def _tell(self) -> None:
        progress = self.begun.trainer.progress
        line = f"step {progress.step} of {self.course.steps}, {progress.seconds:.0f} s"
        if progress.checks:
            line += f", residual {progress.checks[-1].residual:.3f}"
        if self.course.ended:
            line += f". {progress.stopped or 'Trained'}"
        self._progress.content = line
        done = (progress.step - progress.begun) / max(self.course.steps - progress.begun, 1)
        self._bar.value = 100.0 * min(done, 1.0)


def _rotation(wxyz: Any) -> Any:
    """3×3 from a unit quaternion."""
    w, x, y, z = (float(value) for value in wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _up(view: View) -> tuple[float, float, float]:
    """The axis of the world that is nearest to up in the view."""
    up = view.to_world[:3, 1]
    axis = int(np.argmax(np.abs(up)))
    return tuple(float(np.sign(up[axis])) if k == axis else 0.0 for k in range(3))  # type: ignore[return-value]
