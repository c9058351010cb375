"""Which environment, and which weights, a job is frozen with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import device
from pipeline.device import environment_key, with_weights
from pipeline.errors import ConfigError, DeviceError
from pipeline.farm import environments
from pipeline.farm.environments import environment_for, environment_of, weights_of
from pipeline.farm.queues import queue_name

HERE = {"variant": "llvm_ad_rgb", "mitsuba": "3"}
HERE_KEY = environment_key(HERE)
KPCN = {"sampling": {"guide": "variance"}, "denoise": {"backend": "kpcn", "preset": "fast"}}


def worker(key: str, *, slots: int = 1, store: str = "/store", weights: dict[str, str] | None = None) -> dict[str, Any]:
    keys = [key, "rehearsal000"]
    queues = [queue_name("render", "cpu", key), queue_name("render", "any", "rehearsal000")]
    queues += [
        queue_name("render", "cpu", with_weights({"key": key}, {p: f})["key"]) for p, f in (weights or {}).items()
    ]
    return {"stores": [store], "environments": keys, "queues": queues, "slots": slots, "weights": weights or {}}


def farm(*workers: dict[str, Any], broker: str | None = "redis://there") -> Any:
    config = SimpleNamespace(broker_url=broker)
    return SimpleNamespace(store=SimpleNamespace(url="/store"), config=config, workers=lambda: list(workers))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "environment", lambda: dict(HERE))
    monkeypatch.setattr(environments, "fingerprint", lambda preset: "mine")


def test_without_workers_it_is_this_machines() -> None:
    assert environment_for(farm()) == {**HERE, "key": HERE_KEY}


def test_it_is_this_machines_where_a_worker_has_it() -> None:
    workers = [worker("f" * 12, slots=9), worker(HERE_KEY)]
    assert environment_for(farm(*workers))["key"] == HERE_KEY


def test_else_it_is_the_one_that_most_slots_have() -> None:
    workers = [worker("a" * 12), worker("b" * 12, slots=3), worker("c" * 12, slots=9, store="/elsewhere")]
    assert environment_for(farm(*workers)) == {"variant": device.LLVM, "key": "b" * 12}


def test_who_has_no_device_asks_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> dict[str, Any]:
        raise DeviceError("no device")

    monkeypatch.setattr(environments, "environment", nothing)
    assert environment_for(farm(worker("b" * 12)))["key"] == "b" * 12
    with pytest.raises(DeviceError):
        environment_for(farm())


def test_weights_are_a_part_of_the_key_of_jobs_that_use_them() -> None:
    rendering = {**HERE, "key": HERE_KEY}
    one, other = (environment_of(KPCN, rendering, {"fast": of}.__getitem__) for of in ("one", "other"))

    assert one["weights"] == {"fast": "one"} and one["rendering"] == HERE_KEY
    assert len({one["key"], other["key"], HERE_KEY}) == 3
    guided = {"sampling": {"guide": "error", "metric": "smape"}, "denoise": {"backend": "kpcn", "preset": "paper"}}
    named = environment_of(guided, rendering, lambda preset: preset)["weights"]
    assert named == {"paper": "paper", "error-paper": "error-paper"}


def test_other_jobs_know_no_weights() -> None:
    config = {"sampling": {"guide": "variance"}, "denoise": {"backend": "oidn", "preset": "fast"}}
    assert environment_of(config, {"key": "k"}, lambda preset: "one") == {"key": "k"}


def test_the_weights_are_this_machines_unless_the_workers_have_others_alone() -> None:
    rendering = {"key": "a" * 12}

    def told(*workers: dict[str, Any]) -> str:
        return weights_of(farm(*workers), rendering)("fast")

    theirs = worker("a" * 12, slots=5, weights={"fast": "theirs"})
    assert told() == "mine"
    assert told(theirs, worker("a" * 12, weights={"fast": "mine"})) == "mine"
    assert told(theirs, worker("a" * 12, weights={"fast": "rare"})) == "theirs"
    assert told(worker("b" * 12, weights={"fast": "theirs"})) == "mine"
    assert told(worker("a" * 12, weights={"paper": "theirs"})) == "mine"


def test_without_weights_here_those_of_the_workers_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(preset: str) -> str:
        raise ConfigError("there are no weights")

    monkeypatch.setattr(environments, "fingerprint", nothing)
    assert weights_of(farm(worker("a" * 12, weights={"fast": "theirs"})), {"key": "a" * 12})("fast") == "theirs"
    with pytest.raises(ConfigError):
        weights_of(farm(), {"key": "a" * 12})("fast")


def test_frames_that_are_made_here_need_torch_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "find_spec", lambda name: None)

    assert weights_of(farm(), {"key": "a" * 12})("fast") == "mine"
    with pytest.raises(ConfigError, match=r"denoise\.backend: kpcn needs the package `torch`"):
        weights_of(farm(broker=None), {"key": "a" * 12})("fast")
