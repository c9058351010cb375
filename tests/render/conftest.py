"""Scenes for tests of rendering: a variant, XML made into programs, passes made into frames."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.scene import blobs
from pipeline.scene.spec import SceneSpec

Matrix = np.ndarray

CAMERA = """<sensor type="perspective"><float name="fov" value="45"/>
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>"""

CABINET = Path(__file__).with_name("cabinet.xml")


@pytest.fixture(scope="session")
def mi() -> Any:
    """Mitsuba, with a variant set."""
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba

    return mitsuba


@pytest.fixture(autouse=True)
def forget_scenes() -> Iterator[None]:
    """What a test has loaded is dropped with it: live scenes have a part in each other's kernels."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def blob_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="session")
def spec_of(blob_directory: Path) -> Callable[..., SceneSpec]:
    """What stands in a scene's XML, and other fields → a spec; a camera at (0, 0, 4) unless it is given."""

    def make(body: str, *, camera_xml: str = CAMERA, **fields: Any) -> SceneSpec:
        name = blobs.put_text(blob_directory, f'<scene version="3.0.0">{camera_xml}{body}</scene>', "xml")
        return SceneSpec(**{"xml": name, "previous": name, "next": name, "resolution": (16, 9), **fields})

    return make


@pytest.fixture(scope="session")
def program_of(mi: Any, spec_of: Callable[..., SceneSpec], blob_directory: Path) -> Callable[..., Any]:
    """XML, or a spec, at a frame → a program that passes can be rendered with."""
    from pipeline.render.passes import prepare
    from pipeline.scene.load import load

    def make(scene: str | SceneSpec, frame: int = 1, **fields: Any) -> Any:
        spec = spec_of(scene, **fields) if isinstance(scene, str) else scene
        return prepare(load(spec, frame, blob_directory))

    return make


@pytest.fixture(scope="session")
def render() -> Callable[..., Any]:
    """Program and samples (of each pixel, or a map) → moments."""

    def run(program: Any, samples: int | Matrix = 16, *, start: int | Matrix = 0, seed: int = 0, **options: Any) -> Any:
        from pipeline.render.passes import render_pass

        shape = (program.fs.height, program.fs.width)
        counts, begun = (np.broadcast_to(np.asarray(v, np.uint32), shape) for v in (samples, start))
        return render_pass(program, counts, begun, seed=seed, **options)

    return run


@pytest.fixture(scope="session")
def shot(render: Callable[..., Any]) -> Callable[..., Any]:
    """As `render`, made into frame buffers."""

    def run(program: Any, *args: Any, **options: Any) -> Any:
        from pipeline.render.moments import add_round, combine

        return combine(add_round(None, render(program, *args, **options)))

    return run


@pytest.fixture(scope="session")
def cabinet(mi: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """XML of a scene with one of everything: delta and rough surfaces, a mask, a blend, an instance, two lights."""
    folder = tmp_path_factory.mktemp("assets")
    rng = np.random.default_rng(0)
    sky = np.full((8, 16, 3), 0.3, np.float32) + 0.2 * rng.random((8, 16, 3), np.float32)
    sky[1:3, 3:6] = 2.0
    bumps = np.full((8, 8, 3), (0.5, 0.5, 1.0), np.float32)
    bumps[..., :2] += 0.2 * rng.random((8, 8, 2), np.float32) - 0.1
    for name, image in (("sky", sky), ("bumps", bumps)):
        mi.Bitmap(image).write(str(folder / f"{name}.exr"))
    return CABINET.read_text().replace("$ASSETS", str(folder))
