"""Materials of a folder of photographs, made on the farm: an errand with a part for each photograph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.capture.asset.write import check_target, put_in_place
from pipeline.capture.part import settings_of
from pipeline.capture.run import Order, network_of
from pipeline.capture.weights import fingerprints
from pipeline.device import with_weights
from pipeline.errors import AssetError
from pipeline.farm import blob_mirror, carry_out
from pipeline.farm.carry_out import Asked
from pipeline.farm.client import Farm
from pipeline.farm.environments import environment_for
from pipeline.farm.job import Job
from pipeline.farm.submission import Claimed, Show, refusing
from pipeline.scene import blobs

__all__ = ["Fetched", "capture", "enqueue", "fetch"]


@dataclass(frozen=True)
class Fetched:
    """What came of the photographs.

    Attributes:
        job: its id.
        state: of it.
        records: of the materials, by their folders.
        refused: photographs that no material could be made of, and why.
    """

    job: str
    state: str
    records: dict[Path, Mapping[str, Any]]
    refused: dict[str, str]


def capture(
    photographs: Sequence[Path],
    order: Order,
    farm: Farm,
    *,
    wait: bool = True,
    workers: int | None = None,
    show: Show,
    say: Callable[[str], None] = lambda line: None,
) -> Fetched:
    """Makes a material of each photograph, `order.out/NAME`, on the farm.

    Args:
        photographs: the files.
        order: what all materials share; its photographs and name are left out of account.
        farm: of `carry_out.place`.
        wait: until all are made, and fetch them. Else they are fetched by the next call that is the same.
        workers: local ones, where there is no farm.
        show: is told how far it is.
        say: told the job's id.

    Raises:
        AssetError: a photograph is missing, or there is something else where a material is to be.
        ConfigError: there are no weights.
        FarmError: the farm is gone.
    """
    with refusing():
        for photograph in photographs:
            check_target(order.out / photograph.stem)
        claimed = enqueue(photographs, order, farm)
    say(claimed.job.id)
    (ended,) = carry_out.run([claimed], farm, wait=wait, workers=workers, show=show)
    return fetch(farm, claimed.job, order.out, ended.state)


def enqueue(photographs: Sequence[Path], order: Order, farm: Farm) -> Claimed:
    """Freezes the photographs, and claims a version. See `capture`."""
    rendering, settings = environment_for(farm), settings_of(order)
    environment, folder = rendering, blob_mirror.directory(farm.store)
    if order.weights is not None:
        network_of(order, 1)  # refuses what is no network for one photograph
        settings["weights"] = blobs.put(folder, order.weights)
    elif order.method == "network":
        network_of(order, 1)
        name = f"capture/{order.preset}"
        environment = with_weights(rendering, {name: fingerprints()[name]})
    items = [_item(photograph, folder) for photograph in photographs]
    name = carry_out.safe_name(order.out)
    return carry_out.claim(farm, Asked("capture", name, settings, items, environment))


def fetch(farm: Farm, job: Job, out: Path, state: str) -> Fetched:
    """Writes the materials that are made into folders below `out`.

    Raises:
        AssetError: there is something else.
        ProductError: a part was damaged, and is being made anew.
        StoreError: they cannot be written.
    """
    assert job.errand is not None
    records: dict[Path, Mapping[str, Any]] = {}
    failed = {each.part: each for each in carry_out.given_up(farm.store, job)}
    for part in job.errand.parts if state in ("done", "failed") else ():
        if part not in failed:
            facts, files = carry_out.files(farm.store, job, part)
            folder = out / str(job.errand.item(part)["name"])
            put_in_place(folder, files)
            records[folder] = facts["record"]
    refused = {str(each.item["file"]): each.reason for each in failed.values()}
    return Fetched(job.id, state, records, refused)


def _item(photograph: Path, folder: Path) -> dict[str, Any]:
    try:
        return {"name": photograph.stem, "file": photograph.name, "photograph": blobs.put(folder, photograph)}
    except OSError as error:
        raise AssetError(f"{photograph}: cannot be read: {error.strerror or error}") from error
