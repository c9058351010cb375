"""Whether the wheel that is built here works where nothing else is: an empty environment, without torch.

python -m benchmarks.wheel

Builds it, installs it with its dependencies (from the package index, some hundred megabytes), and tries the console
script, the types and the files that travel with it. Ends with 0 where all of it works.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from benchmarks.machine import ROOT

NEEDED = (
    "pipeline/py.typed",
    "pipeline/review/page/index.html",
    "pipeline/review/page/main.js",
    "pipeline/denoise/weights/fast.safetensors",
    "workers/__init__.py",
)
"""Files that the wheel must hold."""

TRIES = (
    ("pipeline", "--version"),
    ("pipeline", "--help"),
    ("pipeline", "submit", "--help"),
    ("python", "-c", "import pipeline, workers, sys; assert 'torch' not in sys.modules"),
    ("python", "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)"),
)
"""Commands of the environment that must end with 0."""


def check(folder: Path) -> list[str]:
    """What does not work, one line each.

    Args:
        folder: an empty one, for the wheel and the environment.
    """
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wrong = [f"the wheel lacks {name}" for name in NEEDED if name not in held]
    wrong += [f"the wheel holds {name}" for name in held if name.startswith(("tests/", "benchmarks/"))]
    place = folder / "environment"
    venv.create(place, with_pip=True)
    binaries = place / "bin"
    subprocess.run([str(binaries / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    for program, *arguments in TRIES:
        done = subprocess.run([str(binaries / program), *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            wrong.append(f"{program} {' '.join(arguments)} ends with {done.returncode}: {done.stderr.strip()[-300:]}")
    return wrong


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="penumbra-wheel-") as scratch:
        found = check(Path(scratch))
    print("\n".join(found) or "the wheel installs and its commands work")
    sys.exit(bool(found))
