"""Results: on which side of its must a row lies, and what is written where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import results
from benchmarks.results import Results, Row


@pytest.mark.parametrize(
    ("value", "must", "better", "holds"),
    [
        (0.9, 1.0, "lower", True),
        (1.0, 1.0, "lower", True),
        (1.1, 1.0, "lower", False),
        (0.9, 1.0, "higher", False),
        (1.0, 1.0, "higher", True),
        (float("nan"), 1.0, "lower", False),
        (float("inf"), 1.0, "higher", False),
        (None, 1.0, "lower", None),
        (5.0, None, "lower", None),
    ],
)
def test_a_row_holds_on_the_good_side_of_its_must(
    value: float | None, must: float | None, better: str, holds: bool | None
) -> None:
    assert Row("key", "what", value, must=must, better=better).holds is holds  # type: ignore[arg-type]


def test_a_row_has_the_contracted_fields() -> None:
    row = Row("throughput", "ours / peer", 0.97, "ratio", must=0.95, aim=1.0, better="higher").to_json()

    assert row == {
        "key": "throughput",
        "what": "ours / peer",
        "value": 0.97,
        "unit": "ratio",
        "must": 0.95,
        "aim": 1.0,
        "better": "higher",
        "holds": True,
    }


def test_two_rows_of_one_key_are_refused() -> None:
    found = Results("name", "Title", "About.", quick=True)
    found.add(Row("key", "what", 1.0))

    with pytest.raises(ValueError, match="key"):
        found.add(Row("key", "what", 2.0))


def fill(found: Results) -> None:
    found.add(Row("a", "first | figure", 1.23456, "s", must=2.0, interval=(1.0, 1.5)))
    found.add(Row("b", "second", float("nan"), must=2.0))
    found.add(Row("c", "third", None, must=2.0, note="no GPU"))
    found.text("## More")
    found.table(["scene", "error"], [["door", 0.123456]])
    found.picture("wipe", np.zeros((4, 6, 3), np.uint8), "Left noisy, right not")


def test_json_page_and_pictures_lie_beside_each_other(tmp_path: Path) -> None:
    found = Results("name", "A title", "What it asks.", quick=True)
    fill(found)

    found.write(tmp_path / "deep" / "out.json")

    document = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert [row["holds"] for row in document["rows"]] == [True, False, None]
    assert document["rows"][1]["value"] is None
    assert document["quick"] is True
    assert {"cpu", "cores", "memory_gib", "packages"} <= set(document["machine"])
    page = (tmp_path / "deep" / "out.md").read_text()
    assert page.startswith("# A title\n\nWhat it asks.\n")
    assert "| first \\| figure | 1.235 s [1, 1.5] | ≤ 2 s | – | yes |" in page
    assert "| third (no GPU) | not measured | ≤ 2 | – | – |" in page
    assert "| door | 0.1235 |" in page
    assert "![Left noisy, right not](out-wipe.png)" in page
    assert (tmp_path / "deep" / "out-wipe.png").exists()


def test_figures_of_matplotlib_become_pictures(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [1, 0])
    found = Results("name", "Title", "About.", quick=True)
    found.figure("convergence", figure, "Error over samples")

    found.write(tmp_path / "out.json")

    assert (tmp_path / "out-convergence.png").read_bytes().startswith(b"\x89PNG")


def test_a_full_run_publishes_and_a_quick_run_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "results")

    results.main("name", "Title", "About.", fill, ["--quick", "--json", str(tmp_path / "quick.json")])
    assert not (tmp_path / "results").exists()
    assert results.published("name") is None
    code = results.main("name", "Title", "About.", fill, ["--json", str(tmp_path / "full.json")])

    assert code == 0
    assert json.loads((tmp_path / "quick.json").read_text())["quick"] is True
    assert (tmp_path / "full.md").exists()
    published = results.published("name")
    assert published is not None
    assert published["quick"] is False


def test_a_quick_run_in_the_published_place_is_not_quoted_as_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)

    results.main("name", "Title", "About.", fill, ["--quick", "--json", str(tmp_path / "name.json")])

    assert results.published("name") is None


def test_the_measurement_is_told_to_be_quick() -> None:
    seen: list[bool] = []

    results.main("name", "Title", "About.", lambda found: seen.append(found.quick), ["--quick"])

    assert seen == [True]
