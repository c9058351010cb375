"""Shots to submit, and a rehearsed job to look at. No test here touches the user's cache or a configured farm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.farm import Farm
from pipeline.farm import recipes_rehearsal, submission
from pipeline.farm.job import Frozen, Rehearsal, claim
from pipeline.farm.store import LocalStore
from pipeline.farm.submission import Claimed, Result

SCENE = """<scene version="3.0.0">
  <sensor type="perspective">
    <transform name="to_world"><lookat origin="0,0,4" target="0,0,0" up="0,1,0"/></transform>
    <film type="hdrfilm"><integer name="width" value="8"/><integer name="height" value="6"/></film>
  </sensor>
  <emitter type="constant"/>
  <shape type="sphere" id="ball"><bsdf type="diffuse" id="clay"/></shape>
</scene>
"""
SHOT = "shot: {name}\nscene: scene.xml\nframes: 1-2\nsampling: {{guide: variance, first_spp: 1, max_spp: 2}}\n"
QUICK = Farm(sweep_seconds=0.5, control_seconds=0.5, max_raises=1)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No farm is configured, and one cache serves all tests, so that devices are probed once."""
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path_factory.getbasetemp() / "penumbra-cache"))
    for variable in ("PIPELINE_BROKER_URL", "PIPELINE_FARM", "PIPELINE_STORE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two shots of 8×6 pixels."""
    for name in ("shot_a", "shot_b"):
        folder = tmp_path / "shots" / name
        folder.mkdir(parents=True)
        (folder / "scene.xml").write_text(SCENE)
        (folder / "shot.yaml").write_text(SHOT.format(name=name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


Rehearse = Callable[..., Result]


@pytest.fixture
def rehearse(place: Path) -> Rehearse:
    """Claims a rehearsal of two frames in `renders` and lets an embedded farm make it."""

    def run(*, shot: str = "shot_r", show: submission.Show = lambda jobs, note: None, **settings: object) -> Result:
        store = LocalStore("renders")
        frozen = Frozen({}, recipes_rehearsal.environment(), engine="rehearsal", rehearsal=Rehearsal(**settings))
        job, attached = claim(store, shot, frozen, frames=(1, 2))
        claimed = Claimed(job, attached, (1, 2))
        (result,) = submission.render([claimed], store, QUICK, workers=1, show=show, engine="rehearsal")
        return result

    return run
