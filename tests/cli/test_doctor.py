"""The doctor: what it finds, and what it says about it."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from pathlib import Path

import pytest

from pipeline import device
from pipeline.cli import checks, main
from pipeline.cli.checks import GIB, Finding
from pipeline.config.farm import Farm
from pipeline.device import ProbeResult
from pipeline.errors import DeviceError
from pipeline.farm.embedded import EmbeddedRedis

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "cache"))
    for variable in ("PIPELINE_BROKER_URL", "PIPELINE_FARM", "PIPELINE_STORE"):
        monkeypatch.delenv(variable, raising=False)


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.state for finding in findings}


def test_a_healthy_store_can_be_written_links_and_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Usage(0, 0, 100 * GIB))
    found = list(checks.store(Farm(store=str(tmp_path / "not" / "yet"))))
    assert states(found) == {"store": "ok", "store room": "ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_hard_links_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (found,) = checks.store(Farm(store=str(tmp_path)))
    assert found.state == "fail" and "hard links" in found.message and found.cure


def test_a_store_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(checks.tempfile, "TemporaryDirectory", refuse)
    (found,) = checks.store(Farm(store=str(tmp_path)))
    assert found.state == "fail" and "Read-only file system" in found.message


@pytest.mark.parametrize(("free", "state"), [(GIB // 2, "fail"), (5 * GIB, "warn"), (50 * GIB, "ok")])
def test_room_is_judged_by_what_a_job_needs(free: int, state: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Usage(0, 0, free))
    assert checks._room("store room", tmp_path).state == state


def test_no_llvm_fails_only_where_no_gpu_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> ProbeResult:
        raise DeviceError("no LLVM library that works with Dr.Jit; install one: apt-get install libllvm19")

    monkeypatch.setattr(device, "find_llvm", nothing)
    monkeypatch.setattr(device, "probe_cuda", lambda: ProbeResult(False, device.CUDA, reason="no NVIDIA driver"))
    (found,) = checks.llvm(Farm())
    assert found.state == "fail" and "libllvm19" in found.cure and "install" not in found.message
    monkeypatch.setattr(device, "probe_cuda", lambda: ProbeResult(True, device.CUDA))
    assert next(checks.llvm(Farm())).state == "warn"


def test_a_gpu_that_does_not_work_is_a_warning_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "probe_cuda", lambda: ProbeResult(False, device.CUDA, reason="driver too old"))
    (found,) = checks.gpu(Farm())
    assert found.state == "warn" and "driver too old" in found.message and found.cure


def test_a_package_of_a_wrong_version_or_none_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checks._installed
    monkeypatch.setattr(checks, "_installed", lambda name: {"mitsuba": "3.0.0", "click": None}.get(name, real(name)))
    found = {finding.subject: finding for finding in checks.versions(Farm())}
    assert found["packages"].state == "fail"
    assert "mitsuba is 3.0.0, not ==3.9.1" in found["packages"].message
    assert "click is missing" in found["packages"].message


def test_missing_optional_packages_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_installed", lambda name: None)
    assert states(list(checks.denoisers(Farm()))) == {"oidn": "warn", "torch": "warn"}


def test_another_build_of_the_pinned_torch_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_installed", lambda name: {"torch": "2.13.0+cu130", "pyoidn": "2.5.1.0"}[name])
    assert states(list(checks.denoisers(Farm()))) == {"oidn": "ok", "torch": "ok"}


def test_json_is_one_document_and_a_failure_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    broken = Finding("llvm", "fail", "there is none", "apt-get install libllvm19")
    monkeypatch.setattr(checks, "CHECKS", (lambda farm: iter([Finding("python", "ok", "3.11"), broken]),))
    assert main.run(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is False
    assert told["findings"][1]["cure"] == "apt-get install libllvm19"


def test_a_warning_does_not_fail_the_machine(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(checks, "CHECKS", (lambda farm: iter([Finding("torch", "warn", "not installed", "pip …")]),))
    assert main.run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("warn  torch") and "→ pip …" in out


def test_without_a_farm_the_redis_that_submit_starts_is_looked_at() -> None:
    (found,) = checks.broker(Farm())
    assert found.state == "ok" and "submit starts its own Redis" in found.message


def test_a_broker_that_is_down_fails_without_showing_its_password() -> None:
    (found,) = checks.broker(Farm(broker_url="redis://farm:secret@127.0.0.1:1/0"))
    assert found.state == "fail" and "127.0.0.1:1" in found.message and "secret" not in found.message


def test_a_broker_without_workers_is_a_warning(tmp_path: Path) -> None:
    with EmbeddedRedis() as redis:
        found = list(checks.broker(Farm(broker_url=redis.broker_url, store=str(tmp_path))))
    assert states(found) == {"broker": "ok", "workers": "warn"}
