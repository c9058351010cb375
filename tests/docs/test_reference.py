"""The reference pages say what the models and the commands say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from pipeline.cli.pages import pages
from pipeline.config.reference import keys_of, table

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


class Lens(BaseModel):
    """A part."""

    length: float = Field(gt=0, le=300, description="Focal length, mm.")


class Camera(BaseModel):
    """A whole."""

    name: str = Field(description="What | who.")
    lens: Lens | None = Field(default=None, description="Its lens.")
    spare: dict[str, Lens] = Field(default_factory=dict, description="Others.")


def test_keys_come_with_their_path_type_default_and_meaning() -> None:
    found = {key.path: key for key in keys_of(Camera)}

    assert list(found) == ["name", "lens", "lens.length", "spare", "spare.<id>.length"]
    assert found["name"].default == "required" and found["lens"].default == "`null`"
    assert found["lens.length"].type == "number, > 0, ≤ 300"
    assert found["lens"].type == "keys below or null"


def test_a_bar_in_a_meaning_does_not_end_the_cell() -> None:
    assert "What \\| who." in table(Camera)


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_committed_page_is_the_current_one(name: str) -> None:
    cure = "python -m pipeline.cli.pages docs/reference"
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], f"write it anew: {cure}"
