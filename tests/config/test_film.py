"""`shutter` and `film`: what is refused, in one clear line."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.shot import Shot
from pipeline.farm.reuse import pixel_config

SHOT = {"shot": "a", "scene": "a.xml", "frames": "1"}


def shot(**keys: Any) -> Shot:
    return Shot.model_validate({**SHOT, **keys})


def refusal(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        shot(**keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("shutter", "why"),
    [
        ([-1.5, 0.0], "within a frame of the frame's time"),
        ([0.5, -0.5], "must open before it closes"),
        ([0.2, 0.2], "must open before it closes"),
        (0.5, "two numbers"),
        ([0.0, float("nan")], "within a frame"),
    ],
)
def test_a_shutter_opens_and_closes_about_its_frame(shutter: Any, why: str) -> None:
    assert why in refusal(shutter=shutter)
    assert shot(shutter=[-0.25, 0.25]).shutter == (-0.25, 0.25)


def test_steps_of_the_shutter_are_a_power_of_two() -> None:
    assert "power of two" in refusal(film={"shutter_steps": 48})


def test_filters_are_positive_and_narrower_than_the_picture() -> None:
    assert "negative lobes" in refusal(film={"filter": "mitchell"})
    assert "gaussian" in refusal(film={"filter": "gausian"})
    assert "wider than the picture" in refusal(resolution=[8, 8], film={"filter": "gaussian", "filter_radius": 5})
    assert shot(film={"filter": "gaussian"}).film.radius == 2.0


def test_keys_that_ask_for_nothing_make_no_other_version() -> None:
    plain = shot().model_dump(mode="json", by_alias=True)
    older = {key: value for key, value in plain.items() if key not in ("shutter", "film")}
    assert pixel_config(plain) == pixel_config(older)
    blurred = shot(shutter=[0, 0.5]).model_dump(mode="json", by_alias=True)
    assert pixel_config(blurred) != pixel_config(plain)


def test_layers_are_told_apart_by_their_names() -> None:
    asked = shot(layers={"lights": {"key": ["sun"]}, "cryptomatte": ["object"], "aovs": ["uv"]})
    assert asked.layers.lights == {"key": ("sun",)}
    assert "would count it twice" in refusal(layers={"lights": {"key": ["sun"], "fill": ["sun"]}})
    assert "names no light" in refusal(layers={"lights": {"key": []}})
    assert "others" in refusal(layers={"lights": {"others": ["sun"]}})
    assert "does not average" in refusal(layers={"aovs": ["prim_index"]})
    assert "none of position" in refusal(layers={"aovs": ["postion"]})
    older = {k: v for k, v in shot().model_dump(mode="json", by_alias=True).items() if k != "layers"}
    assert pixel_config(older) == pixel_config(shot().model_dump(mode="json", by_alias=True))


def test_windows_lie_where_they_can() -> None:
    assert shot(resolution=[32, 18], film={"crop": [8, 4, 20, 10]}).rendered_size == (12, 6)
    assert shot(resolution=[32, 18], film={"overscan": 4}).rendered_size == (40, 26)
    assert shot(resolution=[32, 18], film={"overscan": [1, 2, 3, 4]}).film.window(32, 18) == (-1, -2, 36, 24)
    assert "reaches out of the frame, which is 32×18" in refusal(resolution=[32, 18], film={"crop": [8, 4, 33, 10]})
    assert "nothing lies within" in refusal(film={"crop": [8, 4, 8, 10]})
    assert "one of both" in refusal(film={"crop": [0, 0, 8, 8], "overscan": 2})
