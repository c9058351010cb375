"""What is known of shipped weights without reading them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.denoise import weights
from pipeline.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "directory", lambda: tmp_path)
    return tmp_path


def ship(folder: Path, preset: str, content: bytes = b"numbers") -> None:
    (folder / f"{preset}.safetensors").write_bytes(content)
    (folder / f"{preset}.json").write_text(json.dumps({"preset": preset, "steps": 3}))


def test_presets_with_weights_and_card_are_shipped(folder: Path) -> None:
    ship(folder, "paper")
    ship(folder, "fast")
    (folder / "cardless.safetensors").write_bytes(b"x")

    assert weights.shipped() == ("fast", "paper")
    assert weights.path("fast") == folder / "fast.safetensors"
    assert weights.card("fast") == {"preset": "fast", "steps": 3}


def test_nothing_is_shipped_from_a_directory_that_is_not_there(folder: Path) -> None:
    folder.rmdir()

    assert weights.shipped() == ()


def test_the_fingerprint_is_that_of_the_content_and_follows_it(folder: Path) -> None:
    ship(folder, "fast", b"one")
    first = weights.fingerprint("fast")
    assert first == hashlib.blake2b(b"one", digest_size=16).hexdigest()

    ship(folder, "fast", b"two")
    os.utime(folder / "fast.safetensors", (1, 1))
    assert weights.fingerprint("fast") == hashlib.blake2b(b"two", digest_size=16).hexdigest()


@pytest.mark.parametrize("ask", [weights.fingerprint, weights.card])
def test_a_preset_without_weights_is_refused_with_what_there_is(folder: Path, ask) -> None:
    with pytest.raises(ConfigError, match=r"denoise\.preset: there are no weights of the preset paper .*use denoise"):
        ask("paper")
    ship(folder, "fast")
    with pytest.raises(ConfigError, match=r"\(use fast\)"):
        ask("paper")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_card_is_told_by_its_file(folder: Path, text: str) -> None:
    ship(folder, "fast")
    (folder / "fast.json").write_text(text)

    with pytest.raises(ConfigError, match=r"fast\.json: the model card"):
        weights.card("fast")


def test_asking_imports_neither_numpy_nor_torch() -> None:
    program = (
        "import sys; from pipeline.denoise import weights; weights.shipped(); "
        "print(sorted({'numpy', 'torch'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"
