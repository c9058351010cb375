"""The capture's benchmark: what judges is right where the answer is known, remembers, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("flip_evaluator")

from benchmarks import capture as benchmark  # noqa: E402
from benchmarks.capture_contenders import Contender, constant, network  # noqa: E402
from benchmarks.capture_judge import MAPS, Judge, lobe_correlations  # noqa: E402
from benchmarks.capture_models import MODELS, Recipe, trained  # noqa: E402
from benchmarks.capture_rows import between  # noqa: E402
from benchmarks.capture_subjects import generated  # noqa: E402
from pipeline.capture.likelihood import Photographs  # noqa: E402
from pipeline.capture.maps import encode  # noqa: E402
from pipeline.capture.materials.generate import HELD_OUT, LEARNT  # noqa: E402
from pipeline.capture.network.model import Capturer  # noqa: E402
from pipeline.capture.network.presets import preset  # noqa: E402


@pytest.fixture(scope="module")
def subjects():
    return list(generated(2, 24))


def oracle(subject) -> Contender:
    return Contender("truth", "truth", lambda photographs: encode(subject.maps))


def test_the_truth_has_no_error_and_constant_maps_have_one(subjects, tmp_path):
    judge = Judge(tmp_path)
    exact, even = (judge.score(way, subjects[0]) for way in (oracle(subjects[0]), constant()))
    assert exact.rmse < 2e-3 < even.rmse
    assert exact.dssim < even.dssim and exact.flip < even.flip
    assert all(exact.maps[name] <= even.maps[name] + 1e-6 for name in MAPS)


def test_figures_are_remembered_under_contender_and_subject(subjects, tmp_path):
    calls = []

    def make(photographs: Photographs) -> torch.Tensor:
        calls.append(photographs)
        return encode(subjects[0].maps)

    way = Contender("counted", "counted", make)
    first, again = (Judge(tmp_path).score(way, subjects[0]) for _ in range(2))
    assert first == again and len(calls) == 1


def test_a_highlight_that_is_left_in_a_map_is_seen(subjects):
    truth, shot = encode(subjects[0].maps), subjects[0].photograph.shot
    lobe = torch.exp(-4 * (torch.linspace(-1, 1, 24)[:, None] ** 2 + torch.linspace(-1, 1, 24) ** 2))
    burnt = truth.clone()
    burnt[:, 0:3] += lobe
    noise = truth + torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    assert lobe_correlations(burnt, truth, shot)["diffuse"] > 0.8
    assert lobe_correlations(noise, truth, shot)["diffuse"] < 0.3


def test_ratios_are_of_the_same_subjects_and_lacks_are_told(subjects, tmp_path):
    judge = Judge(tmp_path)
    even = {subject.name: judge.score(constant(), subject) for subject in subjects}
    assert between("a", "itself", even, even, must=0.7).value == pytest.approx(1.0)
    lacking = between("b", "nobody", None, even, must=0.7)
    assert lacking.value is None and lacking.holds is None and "weights" in lacking.note


def test_ablations_differ_in_one_thing_each_and_in_nothing_before_they_are_trained(tmp_path):
    plans = {name: Recipe("tiny").plan(name) for name in MODELS}
    assert sum(plans["initialiser"].stages.values()) == sum(plans["full"].stages.values())
    assert not plans["no-gradient"].gradients and plans["five"].photographs == 5
    assert {plan.iterations for plan in plans.values()} == {2, 4, 6, 8, 10}
    assert trained("full", tmp_path) is None
    assert not set(HELD_OUT) & set(LEARNT)


def test_the_key_of_a_network_changes_with_its_weights_and_steps():
    one, other = Capturer(preset("tiny")), Capturer(preset("tiny"))
    keys = {network("a", one).key, network("b", one).key, network("a", other).key, network("a", one, steps=2).key}
    assert len(keys) == 3


def test_without_weights_every_row_is_there(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(benchmark, "shipped", lambda *which: None)
    monkeypatch.setattr(benchmark, "agreement", lambda count, size: benchmark_agreement())
    monkeypatch.setattr(benchmark.Settings, "size", 24)
    monkeypatch.setattr(benchmark.Settings, "subjects", lambda self: list(generated(1, 24)))
    monkeypatch.setattr(benchmark.Settings, "foreign", lambda self: [])
    monkeypatch.setattr(benchmark, "rates", lambda steps: {})
    monkeypatch.setattr(benchmark, "_descent", lambda *given: None)
    assert benchmark.run(["--quick", "--work", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    rows = {row["key"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    assert {"alone", "gradient", "five", "unseen", "residue", "real.rmse", "time", "mitsuba.mean"} <= set(rows)
    assert rows["alone"]["holds"] is None and rows["mitsuba.mean"]["holds"] is True


def benchmark_agreement():
    from benchmarks.capture_mitsuba import Agreement

    return Agreement(0.001, 0.01)
