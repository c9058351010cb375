"""What figures were measured on, without a word about whose machine it is."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks import machine


def test_the_machine_is_described_and_not_named() -> None:
    described = machine.machine()
    text = json.dumps(described)

    assert described["cores"] >= 1
    assert described["memory_gib"] > 0
    assert described["cpu"]
    assert "numpy" in described["packages"]
    assert not any(socket.gethostname() == value for value in described.values())
    assert str(Path.home()) not in text


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_the_commit_tells_a_changed_tree_and_overlooks_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert machine.commit() is None
    git("init", "-q", cwd=tmp_path)
    (tmp_path / "code.py").write_text("a = 1\n")
    git("add", "code.py", cwd=tmp_path)
    git("commit", "-q", "-m", "first", cwd=tmp_path)
    clean = machine.commit()
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "name.json").write_text("{}\n")
    with_results = machine.commit()
    (tmp_path / "code.py").write_text("a = 2\n")

    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    assert with_results == clean
    assert machine.commit() == clean + "+"
