"""Which device renders here: LLVM libraries, GPUs, Mitsuba variants, and the environment key.

Dr.Jit loads the LLVM library that it meets first, and some versions abort the whole process during code
generation (15 and 16 do), so a library is trusted only after a subprocess has compiled and checked a small kernel
with it. What a probe found is kept in the user's cache, keyed by the library and its time of change, so that only
the first start on a machine pays for it. Nothing here imports Mitsuba or Dr.Jit at the top.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import DeviceError

__all__ = [
    "CUDA",
    "LLVM",
    "Device",
    "ProbeResult",
    "cache_directory",
    "choose_variant",
    "devices",
    "environment",
    "environment_key",
    "find_llvm",
    "install_line",
    "instruction_set",
    "llvm_candidates",
    "probe",
    "probe_cuda",
    "set_variant",
    "visible_gpus",
    "with_weights",
]

log = logging.getLogger(__name__)

LLVM = "llvm_ad_rgb"
CUDA = "cuda_ad_rgb"

VARIANT_VARIABLE = "PIPELINE_VARIANT"
"""Environment variable that names the variant to use, where the choice is not to be made here."""

LLVM_VERSIONS = (19, 20, 21, 18, 17)
"""Versions worth a probe, best known first. 14 and older are refused by Dr.Jit, 15 and 16 abort."""

LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/opt/homebrew/opt/llvm/lib",
    "/usr/local/opt/llvm/lib",
)

PROBE_SECONDS = 120
"""A probe takes about a second; one that hangs is stopped after this."""

# The kernel on which LLVM 15 and 16 abort: a constant that goes through the target's constant pool.
PROBE_CODE = """
import json, sys
import mitsuba as mi
mi.set_variant(sys.argv[1])
import drjit as dr
from mitsuba import Float
got = list(dr.minimum(dr.arange(Float, 9), 3.5))
assert got == [min(float(i), 3.5) for i in range(9)], f"wrong result: {got}"
cuda = sys.argv[1].startswith("cuda")
version = dr.detail.cuda_version() if cuda else dr.detail.llvm_version()
print("PROBE " + json.dumps({
    "version": ".".join(map(str, version)),
    "capability": dr.detail.cuda_compute_capability() if cuda else None,
}))
"""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe of one backend found.

    Attributes:
        works: a kernel was compiled, run, and gave the right numbers.
        variant: `llvm_ad_rgb` or `cuda_ad_rgb`.
        library: the LLVM library that was tried; None for CUDA.
        version: of LLVM (`19.1.7`), or of the CUDA driver.
        capability: compute capability of the GPU (`90`); None for LLVM.
        reason: why it does not work, one line; empty when it does.
        lasting: the answer will be the same next time (not so when a probe hung, or a GPU was out of memory).
    """

    works: bool
    variant: str
    library: str | None = None
    version: str | None = None
    capability: str | None = None
    reason: str = ""
    lasting: bool = True


@dataclass(frozen=True)
class Device:
    """One device that a worker process can be bound to.

    Attributes:
        kind: `cuda` or `cpu`.
        index: number of the GPU as `CUDA_VISIBLE_DEVICES` counts; 0 for the CPU.
        name: of the product, as the driver or the kernel says.
        memory: bytes.
    """

    kind: str
    index: int
    name: str
    memory: int


def cache_directory() -> Path:
    """The user's cache, perhaps yet to be made: `PENUMBRA_CACHE`, `$XDG_CACHE_HOME/penumbra` or `~/.cache/penumbra`."""
    if named := os.environ.get("PENUMBRA_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "penumbra"


# --- LLVM ---------------------------------------------------------------------------------------------------------


def llvm_candidates() -> list[Path]:
    """LLVM libraries of this machine in the order in which they are worth a probe, each file once."""
    found: dict[Path, Path] = {}
    for path in _library_paths():
        found.setdefault(path.resolve(), path)
    return list(found.values())


def _library_paths() -> Iterator[Path]:
    on_mac = sys.platform == "darwin"
    known = [Path(line) for line in _ldconfig() if "libLLVM" in line]
    for version in LLVM_VERSIONS:
        names = (
            ("libLLVM.dylib", f"libLLVM-{version}.dylib")
            if on_mac
            else (f"libLLVM-{version}.so", f"libLLVM-{version}.so.1", f"libLLVM.so.{version}.1")
        )
        folders = [*LIBRARY_FOLDERS, f"/usr/lib/llvm-{version}/lib", f"/usr/lib/llvm{version}/lib"]
        yield from (path for folder in folders for name in names if (path := Path(folder, name)).exists())
        yield from (path for path in known if path.name in names and path.exists())


@functools.cache
def _ldconfig() -> tuple[str, ...]:
    """Paths of all libraries that the dynamic linker knows."""
    tool = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if tool is None or not sys.platform.startswith("linux"):
        return ()
    listed = subprocess.run([tool, "-p"], capture_output=True, text=True, check=False).stdout
    return tuple(line.rpartition("=> ")[2] for line in listed.splitlines() if "=> " in line)


def find_llvm() -> ProbeResult:
    """The first LLVM library that works: the one that `DRJIT_LIBLLVM_PATH` names, else the best known version.

    Raises:
        DeviceError: the library that was named does not work, or none of this machine's does. The message holds the
            one line that installs one.
    """
    if named := os.environ.get("DRJIT_LIBLLVM_PATH"):
        result = probe(Path(named))
        if not result.works:
            raise DeviceError(f"DRJIT_LIBLLVM_PATH names {named}, which does not work with Dr.Jit: {result.reason}")
        return result
    tried: list[ProbeResult] = []
    for path in llvm_candidates():
        result = probe(path)
        if result.works:
            return result
        tried.append(result)
    seen = "; ".join(f"{result.library}: {result.reason}" for result in tried)
    raise DeviceError(
        "no LLVM library that works with Dr.Jit" + (f" ({seen})" if seen else "") + f"; install one: {install_line()}"
    )


def install_line() -> str:
    """The command that installs a working LLVM library on this system."""
    managers = {
        "apt-get": "apt-get install libllvm19",
        "dnf": "dnf install llvm-libs",
        "zypper": "zypper install libLLVM19",
        "pacman": "pacman -S llvm-libs",
        "apk": "apk add llvm19-libs",
        "brew": "brew install llvm@19",
    }
    command = next((line for tool, line in managers.items() if shutil.which(tool)), managers["apt-get"])
    return f"{command}, or point DRJIT_LIBLLVM_PATH at libLLVM 17 or newer"


# --- Probes -------------------------------------------------------------------------------------------------------


def probe(library: Path | str) -> ProbeResult:
    """Does Dr.Jit compile and run a kernel with this LLVM library? Tried in a subprocess, remembered afterwards."""
    path = Path(library)
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        return ProbeResult(False, LLVM, str(path), reason=error.strerror or "cannot be read")
    key = f"{LLVM} {path} {changed} drjit {_version('drjit')} mitsuba {_version('mitsuba')}"
    return _remembered(key, lambda: _probe_now(LLVM, path))


@functools.cache
def probe_cuda() -> ProbeResult:
    """Does Dr.Jit compile and run a kernel on this machine's NVIDIA GPU? Tried in a subprocess.

    Only success is remembered beyond this process: a GPU may be busy or out of memory for a while.
    """
    driver = Path("/proc/driver/nvidia/version")
    if driver.exists():
        seen = hashlib.blake2b(driver.read_bytes(), digest_size=8).hexdigest()
    elif Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists():
        seen = "unnamed driver"
    else:
        return ProbeResult(False, CUDA, reason="no NVIDIA driver on this machine")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    key = f"{CUDA} {seen} visible {visible} drjit {_version('drjit')} mitsuba {_version('mitsuba')}"
    return _remembered(key, lambda: _probe_now(CUDA, None))


def _probe_now(variant: str, library: Path | None) -> ProbeResult:
    missing = [name for name in ("mitsuba", "drjit") if importlib.util.find_spec(name) is None]
    if missing:
        raise DeviceError(f"{' and '.join(missing)} cannot be imported by {sys.executable}; install the package again")
    variables = dict(os.environ)
    if library is not None:
        variables["DRJIT_LIBLLVM_PATH"] = str(library)
    named = None if library is None else str(library)
    with tempfile.TemporaryDirectory(prefix="penumbra-probe-") as folder:
        # A cache of its own: a kernel compiled earlier would hide that this library cannot compile it.
        variables["DRJIT_CACHE_DIR"] = folder
        try:
            done = subprocess.run(
                [sys.executable, "-c", PROBE_CODE, variant],
                env=variables,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PROBE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ProbeResult(False, variant, named, reason=f"no answer within {PROBE_SECONDS} s", lasting=False)
    answers = [line for line in done.stdout.splitlines() if line.startswith("PROBE ")]
    if done.returncode == 0 and answers:
        facts = json.loads(answers[-1].removeprefix("PROBE "))
        capability = facts["capability"]
        return ProbeResult(True, variant, named, facts["version"], None if capability is None else str(capability))
    return ProbeResult(False, variant, named, reason=_why(done.returncode, done.stderr), lasting=variant == LLVM)


def _why(code: int, stderr: str) -> str:
    """One line that says why a probe failed, from its exit status and what it printed."""
    if old := re.search(r"the located LLVM version \((\d+)\) is too old", stderr):
        return f"LLVM {old[1]} is too old, Dr.Jit needs 15 or newer"
    if code < 0:
        return f"it stops the process while compiling (signal {-code})"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"exit status {code}"


def _remembered(key: str, ask: Callable[[], ProbeResult]) -> ProbeResult:
    """The answer kept under `key` in the user's cache, else what `ask()` answers now."""
    path = cache_directory() / "devices.json"
    if key in (known := _read_cache(path)):
        return ProbeResult(**known[key])
    result = ask()
    if not result.lasting:
        return result
    known[key] = asdict(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix="devices.", delete=False) as file:
            json.dump(known, file, indent=1, sort_keys=True)
        os.replace(file.name, path)
    except OSError as error:
        log.warning("the result of the device probe cannot be kept (%s); each start will probe again", error)
    return result


def _read_cache(path: Path) -> dict[str, dict[str, Any]]:
    """What is remembered; nothing if the file is absent, damaged, or of another release."""
    fields = set(ProbeResult.__dataclass_fields__)
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, dict) and set(value) == fields}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


# --- Variants -----------------------------------------------------------------------------------------------------


def choose_variant() -> str:
    """The Mitsuba variant for this machine: what `PIPELINE_VARIANT` names, else CUDA where it works, else LLVM.

    Raises:
        DeviceError: no device works, or the variable names a variant that Penumbra does not render with.
    """
    if named := os.environ.get(VARIANT_VARIABLE):
        if named not in (LLVM, CUDA):
            raise DeviceError(f"{VARIANT_VARIABLE} is '{named}'; it may be {LLVM} or {CUDA}")
        return named
    if probe_cuda().works:
        return CUDA
    find_llvm()
    return LLVM


def _working(variant: str) -> ProbeResult:
    if variant == LLVM:
        return find_llvm()
    if variant != CUDA:
        raise DeviceError(f"variant '{variant}' is not one that Penumbra renders with ({LLVM}, {CUDA})")
    result = probe_cuda()
    if not result.works:
        raise DeviceError(f"{CUDA} does not work here: {result.reason}")
    return result


LEAST_THREADS = 2
"""Of Dr.Jit's pool, also on a single core: Mitsuba reads OpenEXR files by tasks that wait for others of that pool, and
with one thread waits for ever."""


def set_variant(variant: str | None = None) -> str:
    """Sets Mitsuba's variant in this process (by default the one that `choose_variant` picks) and returns its name.

    Imports Mitsuba. The LLVM library that passed the probe is handed to Dr.Jit by `DRJIT_LIBLLVM_PATH`, which must
    happen before Dr.Jit looks for one itself.

    Raises:
        DeviceError: the variant does not work on this machine.
    """
    chosen = variant or choose_variant()
    result = _working(chosen)
    if result.library is not None:
        os.environ["DRJIT_LIBLLVM_PATH"] = result.library

    import drjit as dr
    import mitsuba as mi

    if mi.variant() != chosen:
        mi.set_variant(chosen)
    mi.set_log_level(mi.LogLevel.Warn)
    if dr.thread_count() < LEAST_THREADS:
        dr.set_thread_count(LEAST_THREADS)
    return chosen


# --- The environment of a job -------------------------------------------------------------------------------------


def instruction_set() -> str:
    """Vector instructions of this CPU: `avx512`, `avx2`, `sse4.2` or `neon`, else the machine's name."""
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return "neon"
    flags = _cpu_flags()
    for level, needed in (("avx512", {"avx512f", "avx512vl"}), ("avx2", {"avx2", "fma"}), ("sse4.2", {"sse4_2"})):
        if needed <= flags:
            return level
    return machine or "unknown"


@functools.cache
def _cpu_flags() -> frozenset[str]:
    if sys.platform == "darwin":
        told = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"],
            capture_output=True,
            text=True,
            check=False,
        )
        return frozenset(told.stdout.lower().replace("sse4.2", "sse4_2").split())
    match = re.search(r"^flags\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


@functools.cache
def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def environment(variant: str | None = None) -> dict[str, Any]:
    """What a job's pixels depend on beside the job itself, as plain JSON values.

    Two workers whose environments are equal give bit-identical products.

    Args:
        variant: by default the one that `choose_variant` picks.

    Raises:
        DeviceError: the variant does not work on this machine.
    """
    from pipeline.farm.product import FORMAT_VERSION  # not at the top: it brings numpy, which `pipeline --help` avoids

    chosen = variant or choose_variant()
    result = _working(chosen)
    backend = (
        {"instructions": instruction_set(), "llvm": result.version}
        if chosen == LLVM
        else {"instructions": f"sm_{result.capability}", "cuda": result.version}
    )
    return {
        "variant": chosen,
        **backend,
        "mitsuba": _version("mitsuba"),
        "drjit": _version("drjit"),
        "products": FORMAT_VERSION,
        "weights": {},
    }


def environment_key(environment: Mapping[str, Any]) -> str:
    """Short hash (12 hexadecimal digits) of an environment; queues and jobs carry it.

    >>> environment_key({"variant": "llvm_ad_rgb"}) == environment_key({"variant": "cuda_ad_rgb"})
    False
    """
    text = json.dumps(environment, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def with_weights(environment: Mapping[str, Any], weights: Mapping[str, str]) -> dict[str, Any]:
    """The environment of a job whose pixels depend on networks as well.

    Args:
        environment: of what renders, with its `key`.
        weights: fingerprints by preset.

    Returns:
        The same with `weights`, and a `key` that stands for both; `rendering` is the key without them.
    """
    rendering = environment["key"]
    key = environment_key({"rendering": rendering, "weights": dict(weights)})
    return {**environment, "weights": dict(weights), "rendering": rendering, "key": key}


# --- Devices ------------------------------------------------------------------------------------------------------


def devices() -> list[Device]:
    """The devices that workers can be bound to: every visible GPU on which CUDA works, then the CPU."""
    gpus = _gpus() if probe_cuda().works else []
    return [*gpus, Device("cpu", 0, _cpu_name(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]


def _gpus() -> list[Device]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        log.warning("nvidia-smi is not there: one GPU is taken for granted")
        return [Device("cuda", 0, "NVIDIA GPU", 0)]
    query = [tool, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return visible_gpus(told.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible_gpus(listing: str, visible: str | None) -> list[Device]:
    """GPUs of a listing (index, uuid, name, MiB per line) that `CUDA_VISIBLE_DEVICES` lets through, in its order."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line.count(",") >= 3]
    gpus = {uuid: Device("cuda", int(index), name, int(memory) * 2**20) for index, uuid, name, memory in rows}
    if visible is None:
        return list(gpus.values())
    chosen: list[Device] = []
    for word in (word.strip() for word in visible.split(",")):
        match = [gpu for uuid, gpu in gpus.items() if word and (str(gpu.index) == word or uuid.startswith(word))]
        if not match:
            break  # as the driver does: what stands after a name that it does not know is not visible
        chosen.append(match[0])
    return chosen


def _cpu_name() -> str:
    match = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()


def main() -> int:
    """`python -m pipeline.device`: says which variant renders here, for the set-up. Exit code 1 when none does."""
    try:
        variant = choose_variant()
        result = _working(variant)
    except DeviceError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{variant} works ({result.library or 'CUDA'} {result.version})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
