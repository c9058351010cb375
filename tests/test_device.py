"""Probes, the cache of their answers, and the environment key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import device
from pipeline.device import Device, ProbeResult
from pipeline.errors import DeviceError

LISTING = "0, GPU-aaaa, NVIDIA A, 81920\n1, GPU-bbbb, NVIDIA B, 40960\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and no choice made from outside."""
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIPELINE_VARIANT", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def library() -> Path:
    """An LLVM library of this machine that works, found before any test changes the variables."""
    return Path(device.find_llvm().library or "")


def never(*_: object) -> ProbeResult:
    raise AssertionError("probed again")


def test_the_library_that_is_found_compiles_a_kernel(library: Path) -> None:
    result = device.probe(library)
    assert result.works and result.reason == ""
    assert int((result.version or "0").split(".")[0]) >= 17


def test_a_probe_is_remembered_until_the_library_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "libLLVM-99.so"
    copy.write_bytes(b"no library")
    first = device.probe(copy)
    assert not first.works
    with monkeypatch.context() as patch:
        patch.setattr(device, "_probe_now", never)
        assert device.probe(copy) == first
    os.utime(copy, ns=(1, 1))
    calls: list[Path] = []
    answer = ProbeResult(True, device.LLVM, str(copy), "99.0.0")
    monkeypatch.setattr(device, "_probe_now", lambda variant, path: calls.append(path) or answer)
    assert device.probe(copy) == answer
    assert calls == [copy]


def test_a_probe_that_hung_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    copy = tmp_path / "libLLVM-99.so"
    copy.write_bytes(b"")
    hung = ProbeResult(False, device.LLVM, str(copy), reason="no answer", lasting=False)
    monkeypatch.setattr(device, "_probe_now", lambda *_: hung)
    device.probe(copy)
    assert not (cache / "devices.json").exists()


def test_a_damaged_cache_is_probed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.mkdir()
    (cache / "devices.json").write_text('{"half": ')
    copy = tmp_path / "libLLVM-99.so"
    copy.write_bytes(b"")
    answer = ProbeResult(True, device.LLVM, str(copy), "99.0.0")
    monkeypatch.setattr(device, "_probe_now", lambda *_: answer)
    assert device.probe(copy) == answer
    assert len(json.loads((cache / "devices.json").read_text())) == 1


def test_a_library_that_is_not_there_does_not_work(tmp_path: Path) -> None:
    result = device.probe(tmp_path / "libLLVM-19.so")
    assert not result.works and "No such file" in result.reason


@pytest.mark.parametrize(
    ("code", "stderr", "reason"),
    [
        (-6, "Cannot select\nIn function: f", "signal 6"),
        (1, "jit_llvm_init(): the located LLVM version (14) is too old. …\nImportError", "LLVM 14 is too old"),
        (1, "Traceback\nImportError: no such thing", "ImportError: no such thing"),
        (3, "", "exit status 3"),
    ],
)
def test_a_failed_probe_says_why_in_one_line(code: int, stderr: str, reason: str) -> None:
    assert reason in device._why(code, stderr)
    assert "\n" not in device._why(code, stderr)


def test_a_named_library_that_does_not_work_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(tmp_path / "gone.so"))
    with pytest.raises(DeviceError, match=r"DRJIT_LIBLLVM_PATH names .*gone\.so"):
        device.find_llvm()


def test_without_any_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(device, "llvm_candidates", lambda: [])
    monkeypatch.setattr(device.shutil, "which", lambda tool: "/usr/bin/apt-get" if tool == "apt-get" else None)
    with pytest.raises(DeviceError, match="apt-get install libllvm19") as caught:
        device.find_llvm()
    assert "\n" not in str(caught.value)


def test_a_later_candidate_is_taken_when_the_first_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(device, "llvm_candidates", lambda: [Path("bad.so"), Path("good.so")])
    monkeypatch.setattr(device, "probe", lambda path: ProbeResult(path.name == "good.so", device.LLVM, str(path)))
    assert device.find_llvm().library == "good.so"


def test_cuda_is_chosen_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "probe_cuda", lambda: ProbeResult(True, device.CUDA, version="13.0", capability="90"))
    assert device.choose_variant() == device.CUDA
    assert device.environment()["instructions"] == "sm_90"


def test_the_variable_settles_the_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "probe_cuda", never)
    monkeypatch.setenv("PIPELINE_VARIANT", device.LLVM)
    assert device.choose_variant() == device.LLVM
    monkeypatch.setenv("PIPELINE_VARIANT", "scalar_rgb")
    with pytest.raises(DeviceError, match="scalar_rgb"):
        device.choose_variant()


def test_a_variant_that_nobody_renders_with_is_refused() -> None:
    with pytest.raises(DeviceError, match="scalar_spectral"):
        device.set_variant("scalar_spectral")


def test_set_variant_hands_the_probed_library_to_drjit(library: Path) -> None:
    code = (
        "import os, sys\n"
        "from pipeline import device\n"
        "assert 'mitsuba' not in sys.modules\n"
        f"assert device.set_variant({device.LLVM!r}) == {device.LLVM!r}\n"
        "import mitsuba as mi\n"
        "print(mi.variant(), os.environ['DRJIT_LIBLLVM_PATH'])\n"
    )
    variables = {**os.environ, "DRJIT_LIBLLVM_PATH": str(library)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [device.LLVM, str(library)]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_an_openexr_texture_is_read_on_a_single_core(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from pipeline.device import set_variant; set_variant()\n"
        "import mitsuba as mi, numpy as np\n"
        "mi.Bitmap(np.ones((64, 64, 3), np.float32)).write(sys.argv[1])\n"
        "print(mi.Bitmap(sys.argv[1]).size())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.exr")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert "64" in done.stdout


def test_the_environment_is_told_without_importing_mitsuba(library: Path) -> None:
    code = (
        "import json, sys\n"
        "from pipeline import device\n"
        f"print(json.dumps(device.environment({device.LLVM!r})))\n"
        "assert not {'mitsuba', 'drjit', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["variant"] == device.LLVM
    assert told["mitsuba"].count(".") == 2 and told["llvm"].count(".") == 2
    assert told["weights"] == {}


def test_the_key_is_short_and_differs_with_each_part_of_the_environment() -> None:
    base = {"variant": "llvm_ad_rgb", "instructions": "avx2", "llvm": "19.1.7", "weights": {}}
    keys = {device.environment_key(base)}
    keys |= {device.environment_key({**base, name: "other"}) for name in base}
    assert len(keys) == 1 + len(base)
    assert all(len(key) == 12 for key in keys)


def test_the_key_does_not_depend_on_the_order_of_the_parts() -> None:
    assert device.environment_key({"a": 1, "b": 2}) == device.environment_key({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("sse4_2 avx avx2 fma avx512f avx512vl", "avx512"),
        ("sse4_2 avx avx2 fma avx512f", "avx2"),
        ("sse4_2 avx", "sse4.2"),
    ],
)
def test_the_instruction_set_is_the_best_level_of_the_flags(flags: str, level: str, monkeypatch) -> None:
    monkeypatch.setattr(device.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(device, "_cpu_flags", lambda: frozenset(flags.split()))
    assert device.instruction_set() == level


def test_the_cpu_is_the_last_device_and_has_its_memory() -> None:
    last = device.devices()[-1]
    assert last.kind == "cpu" and last.memory > 2**28


@pytest.mark.parametrize(
    ("visible", "indices"),
    [(None, [0, 1]), ("1", [1]), ("1,0", [1, 0]), ("GPU-bbbb", [1]), ("-1", []), ("", []), ("0,7,1", [0])],
)
def test_gpus_are_those_that_cuda_visible_devices_lets_through(visible: str | None, indices: list[int]) -> None:
    assert [gpu.index for gpu in device.visible_gpus(LISTING, visible)] == indices


def test_a_gpu_carries_its_name_and_memory_in_bytes() -> None:
    assert device.visible_gpus(LISTING, "0") == [Device("cuda", 0, "NVIDIA A", 80 * 2**30)]


def test_the_cache_stands_where_the_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert device.cache_directory() == tmp_path / "cache"
    monkeypatch.delenv("PENUMBRA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert device.cache_directory() == tmp_path / "penumbra"


def test_weights_make_another_key_which_tells_what_renders_as_well() -> None:
    rendering = {"variant": device.LLVM, "key": "0123456789ab"}
    one, same, other = (device.with_weights(rendering, {"fast": print_}) for print_ in ("1", "1", "2"))

    assert one == same and len({one["key"], other["key"], rendering["key"]}) == 3
    assert one["key"] != device.with_weights({**rendering, "key": "ba9876543210"}, {"fast": "1"})["key"]
    assert (one["variant"], one["rendering"], one["weights"]) == (device.LLVM, "0123456789ab", {"fast": "1"})
