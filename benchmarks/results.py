"""What a benchmark found: rows that hold or do not, and the page with its tables and pictures.

A benchmark is `python -m benchmarks.NAME [--quick] [--reference-spp N] [--json FILE]`; its module hands a function
`measure(results)` to `main`. The page and its pictures are written beside the JSON. A full run publishes in
`docs/results`, and writes FILE as well; a quick run writes FILE alone.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import ROOT, commit, machine
from pipeline.images.viewing import png_bytes

__all__ = ["Results", "Row", "main", "published"]

PUBLISHED = ROOT / "docs" / "results"


@dataclass(frozen=True)
class Row:
    """One claim: what was measured, and on which side of the must it lies.

    Attributes:
        key: short, stable, unique within the benchmark.
        value: the figure; None when it needs a device that is not there.
        must, aim: bounds; None where nothing is asked.
        better: on which side of a bound is good; a value on the bound holds.
        interval: 95 %, where there is one.
        note: a few words, such as why there is no value.
    """

    key: str
    what: str
    value: float | None
    unit: str = ""
    must: float | None = None
    aim: float | None = None
    better: Literal["lower", "higher"] = "lower"
    interval: tuple[float, float] | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """True when the value is on the good side of the must, False when not or not finite; None if only reported."""
        if self.value is None or self.must is None:
            return None
        if not math.isfinite(self.value):
            return False
        return bool(self.value <= self.must if self.better == "lower" else self.value >= self.must)

    def to_json(self) -> dict[str, Any]:
        """The row as the JSON has it; a value that is not finite is null."""
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        row: dict[str, Any] = {"key": self.key, "what": self.what, "value": value, "unit": self.unit}
        row |= {"must": self.must, "aim": self.aim, "better": self.better, "holds": self.holds}
        if self.interval is not None:
            row["interval"] = [float(edge) for edge in self.interval]
        if self.note:
            row["note"] = self.note
        return row


@dataclass(frozen=True)
class _Picture:
    name: str
    caption: str
    png: bytes


@dataclass
class Results:
    """What a benchmark found, in the order of its page.

    Attributes:
        quick: tells the measurement to be short.
        reference_spp: tells one that renders references how many samples they get; None leaves it to the measurement.
    """

    name: str
    title: str
    about: str
    quick: bool
    reference_spp: int | None = None
    rows: list[Row] = field(default_factory=list)
    _blocks: list[str | _Picture] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Adds a row, and prints it to stderr. Raises ValueError for a key that is there already."""
        if any(row.key == other.key for other in self.rows):
            raise ValueError(f"two rows have the key `{row.key}`")
        self.rows.append(row)
        print(f"{row.key}: {_value(row)}  must {_bound(row.must, row)}  {_verdict(row)}", file=sys.stderr, flush=True)

    def text(self, markdown: str) -> None:
        """Adds a paragraph, or a heading."""
        self._blocks.append(markdown)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Adds a table; floats are shown with four digits."""
        self._blocks.append(_table(columns, rows))

    def picture(self, name: str, pixels: NDArray[np.uint8], caption: str) -> None:
        """Adds an H×W×3 image in display pixels (see `viewing.to_display`)."""
        self._blocks.append(_Picture(name, caption, png_bytes(pixels)))

    def figure(self, name: str, figure: Any, caption: str) -> None:
        """Adds a Matplotlib figure."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})
        self._blocks.append(_Picture(name, caption, stream.getvalue()))

    def write(self, path: Path) -> None:
        """Writes the JSON to `path`, and the page and its pictures beside it, under the same stem."""
        path.parent.mkdir(parents=True, exist_ok=True)
        measured = {"benchmark": self.name, "quick": self.quick, "machine": machine(), "commit": commit()}
        if self.reference_spp is not None:
            measured["reference_spp"] = self.reference_spp
        document = {**measured, "rows": [row.to_json() for row in self.rows]}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        for block in self._blocks:
            if isinstance(block, _Picture):
                path.with_name(_file(path.stem, block)).write_bytes(block.png)
        path.with_suffix(".md").write_text(self._page(path.stem, measured))

    def _page(self, stem: str, measured: Mapping[str, Any]) -> str:
        on = measured["machine"]
        hardware = f"{on['cpu']}, {on['cores']} cores, {on['memory_gib']} GiB" + (f", {on['gpu']}" if on["gpu"] else "")
        packages = ", ".join(f"{name} {found}" for name, found in on["packages"].items())
        run = "A quick run" if self.quick else "A full run"
        if self.reference_spp is not None:
            run += f", its references at {self.reference_spp} samples per pixel,"
        measured_on = f"{run} on {hardware}; Python {on['python']}, {packages}; commit `{measured['commit']}`."
        columns = ["what", "measured", "must", "aim", "holds"]
        lines = [
            [_what(row), _value(row), _bound(row.must, row), _bound(row.aim, row), _verdict(row)] for row in self.rows
        ]
        blocks = [f"# {self.title}", self.about, _table(columns, lines)]
        for block in self._blocks:
            blocks.append(f"![{block.caption}]({_file(stem, block)})" if isinstance(block, _Picture) else block)
            if isinstance(block, _Picture):
                blocks.append(f"*{block.caption}*")
        return "\n\n".join([*blocks, measured_on]) + "\n"


def published(name: str) -> dict[str, Any] | None:
    """The last published full run of a benchmark, for quick runs to quote with its commit; None if there is none."""
    path = PUBLISHED / f"{name}.json"
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text())
    return None if document["quick"] else document


def main(
    name: str, title: str, about: str, measure: Callable[[Results], None], argv: Sequence[str] | None = None
) -> int:
    """Parses the arguments that all benchmarks share, measures and writes.

    Args:
        name: of the module in `benchmarks`.
        title, about: of the page.
        measure: adds rows, tables and pictures to the results.
        argv: arguments; None takes the command line's.

    Returns:
        the exit code: 0 once everything was measured, whether or not it holds.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help="the same rows in at most five minutes on two cores")
    parser.add_argument("--reference-spp", type=int, metavar="N", help="samples of references, where there are any")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, their page beside it")
    arguments = parser.parse_args(argv)
    results = Results(name, title, about, arguments.quick, arguments.reference_spp)
    measure(results)
    places = [] if arguments.quick else [PUBLISHED / f"{name}.json"]
    if arguments.json is not None and arguments.json.resolve() not in places:
        places.append(arguments.json.resolve())
    for path in places:
        results.write(path)
    return 0


def _file(stem: str, picture: _Picture) -> str:
    return f"{stem}-{picture.name}.png"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [[*columns], ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _what(row: Row) -> str:
    return row.what + (f" ({row.note})" if row.note else "")


def _value(row: Row) -> str:
    if row.value is None:
        return "not measured"
    text = f"{row.value:.4g}" + (f" {row.unit}" if row.unit else "")
    return text if row.interval is None else f"{text} [{row.interval[0]:.4g}, {row.interval[1]:.4g}]"


def _bound(bound: float | None, row: Row) -> str:
    if bound is None:
        return "–"
    return f"{'≤' if row.better == 'lower' else '≥'} {bound:.4g}" + (f" {row.unit}" if row.unit else "")


def _verdict(row: Row) -> str:
    return {True: "yes", False: "**no**", None: "–"}[row.holds]
