"""The site builds without a broken link, and what the documents show as YAML is accepted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.config.farm import Farm
from pipeline.config.shot import Shot
from pipeline.denoise.sequence.mapping import ChannelMapping

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)[ \t]*(run)?[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str, bool, str]]:
    """Page and number, language, whether it is marked as `run`, and text of every fenced block."""
    for page in PAGES:
        for k, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            yield f"{page.relative_to(ROOT)}:{k}", found[1], bool(found[2]), found[3]


def test_the_site_builds_and_no_link_of_it_is_broken(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )

    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "index.html").exists()


def test_files_that_the_readme_shows_are_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert links and [link for link in links if not (ROOT / link).exists()] == []


SHOT = {"shot": "example", "scene": "scene.xml", "frames": "1-2"}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=where) for where, language, _, text in blocks() if language == "yaml"]
)
def test_yaml_in_the_documents_is_accepted(text: str) -> None:
    """A block marked as YAML is a shot, a farm profile, or a part of one of them; or a mapping of channels."""
    given = YAML(typ="safe").load(text)
    if set(given) <= set(Farm.model_fields):
        Farm.model_validate(given)
    elif "read" in given:
        ChannelMapping.model_validate(given)
    else:
        Shot.model_validate({**SHOT, **given})


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, _, run, text in blocks() if run])
def test_commands_marked_as_run_do(text: str, tmp_path: Path) -> None:
    """They run as written, in a copy of nothing but the sample shots."""
    (tmp_path / "shots").symlink_to(ROOT / "shots")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
