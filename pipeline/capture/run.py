"""One capture from beginning to end: photographs in, an asset out. What the command line and the farm call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.capture import weights
from pipeline.capture.asset.write import Wishes, check_target, write_asset
from pipeline.capture.fit import Fit, by_descent, by_network
from pipeline.capture.network.model import Capturer
from pipeline.capture.network.weights_file import load
from pipeline.capture.photo.prepare import Prepared, Region, prepare
from pipeline.capture.photo.read import SUFFIXES
from pipeline.errors import AssetError, ConfigError

__all__ = ["MOST", "Order", "capture", "network_of", "photographs_below", "summary"]

MOST = 4096
"""Texels of the longer side."""


@dataclass(frozen=True)
class Order:
    """What is to be made.

    Attributes:
        photographs: of one material.
        out: the asset's folder.
        wishes: what it is to have.
        region: which part of the photographs.
        method: `network` or `descent`.
        preset: of the network.
        weights: a file, in place of the preset's.
        extra: steps of descent after the network.
        resolution: texels of the longer side, at most.
    """

    photographs: tuple[Path, ...]
    out: Path
    wishes: Wishes
    region: Region = field(default_factory=Region)
    method: str = "network"
    preset: str = "small"
    weights: Path | None = None
    extra: int = 0
    resolution: int = 1024


def capture(order: Order, *, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Makes an asset, and returns its record.

    Args:
        say: told of progress and of remarks, a line each.

    Raises:
        AssetError: the photographs, or the place of output, cannot be used.
        ConfigError: there are no weights, or a setting is out of range.
        StoreError: the asset cannot be written.
    """
    if not 64 <= order.resolution <= MOST:
        raise ConfigError(f"{order.resolution} is not between 64 and {MOST}", key="--resolution")
    check_target(order.out)
    network = network_of(order, len(order.photographs)) if order.method == "network" else None
    prepared = prepare(order.photographs, order.region, resolution=order.resolution)
    for remark in prepared.remarks:
        say(f"warning: {remark}")
    fit = _fit(order, network, prepared, say)
    maker: dict[str, Any] = {} if network is None else {"weights": str(order.weights or weights_name(network))}
    return write_asset(order.out, prepared, fit, order.wishes, maker=maker)


def network_of(order: Order, count: int) -> Capturer:
    """The network for so many photographs, or the one for a single photograph where there is none for as many.

    Raises:
        ConfigError: there are no weights.
    """
    if order.weights is not None:
        network = load(order.weights)
        if network.photographs not in (1, count):
            raise ConfigError(f"{order.weights} takes {network.photographs} photographs, not {count}", key="--weights")
        return network
    for name in dict.fromkeys((weights.name_of(order.preset, count), weights.name_of(order.preset))):
        if name in weights.shipped():
            return load(weights.path(name))
    raise ConfigError(
        f"no weights of preset {order.preset} are installed",
        key="--preset",
        suggestion="--method descent needs none; pipeline train capture --install makes them",
    )


def weights_name(network: Capturer) -> str:
    """Name of shipped weights."""
    return weights.name_of(network.preset.name, network.photographs)


def photographs_below(paths: Sequence[Path]) -> Iterator[Path]:
    """The photographs that are named, and those in the folders that are named, by name.

    Raises:
        AssetError: one is missing, or a folder holds none.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = [each for each in sorted(path.iterdir()) if each.suffix.lower() in SUFFIXES and each.is_file()]
        if not found:
            raise AssetError(f"{path}: holds no photographs ({' '.join(sorted(SUFFIXES))})")
        yield from found


def _fit(order: Order, network: Capturer | None, prepared: Prepared, say: Callable[[str], None]) -> Fit:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    photographs = prepared.photographs.to(device)
    if network is None:
        fit = by_descent(photographs, prepared.highlights, say=say)
    else:
        fit = by_network(network.to(device), photographs, extra=order.extra, say=say)
    return Fit(fit.unknowns.cpu(), fit.shot.to("cpu"), fit.error, fit.method, fit.seconds)


def summary(record: Mapping[str, Any]) -> str:
    """One line."""
    width, height = record["texels"]
    seam = f", seam {record['seam']:.2f}" if record["tileable"] else ""
    made = record["made_by"]
    return f"{made['method']}, {width}×{height}, fit RMSE {record['fit']['rmse']:.4f}{seam}, {made['seconds']:.1f} s"
