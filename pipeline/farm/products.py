"""One job's view of the store: products that are checked when they are read and when they are published.

What an earlier version of the shot has made by the same recipe counts as the job's own (`job.bases`).
"""

from __future__ import annotations

import json
import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProductError
from pipeline.farm import names, product
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.product import Product
from pipeline.farm.store import Store

__all__ = ["MissingProduct", "Products", "validate"]

log = logging.getLogger(__name__)

_HEAD: Final = 4096
"""Bytes read at first for a product's facts: enough for most, and one block of most disks."""
_FACTS_KEPT: Final = 1 << 16
_PIECE: Final = 1 << 20
_BY_FRAME: Final = ("samples", "passes", "buffers", "rounds")
"""Directories with one directory for each frame."""


class MissingProduct(ProductError):
    """A product is not there, or not any more."""


class Products:
    """The products of a job. Safe to use from many processes; not from many threads."""

    def __init__(self, store: Store, job: Job) -> None:
        self.store, self.job = store, job
        self._facts: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._bases = [(base, frozenset(base.kinds), frozenset(base.frames or ())) for base in job.bases]

    def name(self, name: str) -> str:
        """The store's name of a file of this job."""
        return f"{self.job.directory}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a product is there, in this version or in one that it is based on."""
        if self._place(name) is not None:
            return True
        self._facts.pop(name, None)
        return False

    def facts(self, name: str) -> Mapping[str, Any]:
        """The facts of a product, from its head alone; remembered, since products do not change.

        Raises:
            ProductError: `MissingProduct`, or it is damaged and was moved aside.
        """
        known = self._facts.get(name)
        if known is not None:
            self._facts.move_to_end(name)
            return known
        directory, job_hash = self._found(name)
        stored = f"{directory}/{name}"
        try:
            head = self.store.read_head(stored, _HEAD)
            length = product.head_length(head, name=name)
            if length > len(head):
                head = self.store.read_head(stored, length)
            facts = product.read_facts(head, name=name, job_hash=job_hash)
        except FileNotFoundError:
            raise MissingProduct(f"{name} is not there") from None
        except ProductError as error:
            self._set_aside(stored, name, error)
            raise
        self._remember(name, facts)
        return facts

    def read(self, name: str) -> Product:
        """A product, with everything in it checked.

        Raises:
            ProductError: `MissingProduct`, or it is damaged or foreign and was moved aside to be made anew.
        """
        directory, job_hash = self._found(name)
        stored = f"{directory}/{name}"
        try:
            found = product.decode(self.store.read(stored), name=name, job_hash=job_hash)
        except FileNotFoundError:
            raise MissingProduct(f"{name} is not there") from None
        except ProductError as error:
            self._set_aside(stored, name, error)
            raise
        self._remember(name, dict(found.facts))
        return found

    def digest(self, name: str) -> str:
        """The digest that a product ends with, hexadecimal: what is read of equal ones is equal.

        It is not checked here; `read` does that.

        Raises:
            MissingProduct: it is not there.
        """
        directory, _ = self._found(name)
        try:
            return self.store.read_tail(f"{directory}/{name}", product.DIGEST_SIZE).hex()
        except FileNotFoundError:
            raise MissingProduct(f"{name} is not there") from None

    def publish(self, name: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> bool:
        """Create a product; False if somebody else was first, whose bytes count.

        Raises:
            ProductError: it is not what it should be (see `validate`); nothing was written.
            StoreError: it cannot be written.
        """
        arrays = arrays or {}
        validate(name, Product(name, facts, arrays))
        data = product.chunks(name, job_hash=self.job.hash, facts=facts, arrays=arrays)
        return self.store.create(self.name(name), data)

    def record(self, name: str, content: Mapping[str, Any]) -> bool:
        """Create a mark (`absent/1003`): a JSON document; False if it is there already."""
        return self.store.create(self.name(name), json.dumps(dict(content), allow_nan=False).encode())

    def recorded(self, name: str) -> dict[str, Any]:
        """What a mark says; empty where it is not readable, since that it is there is what counts.

        Raises:
            MissingProduct: it is not there.
        """
        try:
            content = json.loads(self.store.read(self.name(name)))
        except FileNotFoundError:
            raise MissingProduct(f"{name} is not there") from None
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def listed(self, frame: Frame) -> set[str]:
        """Names of all products and marks (`absent`, `failures`) of a frame, from listings. For sweeps.

        Products of the versions that this one is based on are among them.
        """
        text = names.frame_text(frame)
        goals = (names.stop(frame), names.frame_product(frame)) if self.job.errand is None else (names.part(frame),)
        single = (*goals, names.absent(frame))
        found = {name for name in single if self.exists(name)}
        found.update(mark for name in goals if self.store.exists(self.name(mark := names.failure(name))))
        own = self.job.directory
        listed = [(own, f"failures/{kind}/{text}") for kind in _BY_FRAME]
        for base in (own, *(base.directory for base in self.job.bases)):
            listed += [(base, f"{kind}/{text}") for kind in _BY_FRAME]
        for base, directory in listed:
            below = (name[len(base) + 1 :] for name in self.store.list(f"{base}/{directory}"))
            found.update(name for name in below if self._served(name))
        return found

    def failures(self) -> list[str]:
        """Marks of the job's parked tasks, `failures/<task>`, from a listing."""
        skip = len(self.job.directory) + 1
        listed = self.store.list(self.name("failures"))
        return [name for full in listed if self._served(name := full[skip:])]

    def _served(self, name: str) -> bool:
        """A listed name is a product's, and one that bases may serve or that is the job's own."""
        try:
            names.parse(name)
        except ProductError:
            return False
        return not self._bases or self._place(name) is not None

    def _found(self, name: str) -> tuple[str, str]:
        place = self._place(name)
        if place is None:
            raise MissingProduct(f"{name} is not there")
        return place

    def _place(self, name: str) -> tuple[str, str] | None:
        """Directory and job hash of the version that serves a product; None if it is nowhere."""
        if self.store.exists(self.name(name)):
            return self.job.directory, self.job.hash
        if not self._bases:
            return None
        parsed = names.parse(name)
        for base, kinds, frames in self._bases:
            if (
                parsed.kind in kinds
                and (base.frames is None or parsed.frame in frames)
                and (base.rounds is None or (parsed.round is not None and parsed.round < base.rounds))
                and self.store.exists(f"{base.directory}/{name}")
            ):
                if parsed.kind == "passes" and parsed.frame is not None and parsed.round is not None:
                    # A slice makes sense only with the plan that cut it, by timings: never mix two versions' slices.
                    plan = self._place(names.samples(parsed.frame, parsed.round))
                    if plan is None or plan[0] != base.directory:
                        continue
                return base.directory, base.hash
        return None

    def _remember(self, name: str, facts: dict[str, Any]) -> None:
        self._facts[name] = facts
        if len(self._facts) > _FACTS_KEPT:
            self._facts.popitem(last=False)

    def _set_aside(self, stored: str, name: str, error: ProductError) -> None:
        self._facts.pop(name, None)
        log.warning("%s; it is moved aside and made anew", error)
        self.store.quarantine(stored)


def validate(name: str, made: Product) -> None:
    """Whether a product is fit to be published: every number finite, and as many samples as were asked for.

    `samples`: `bounds` ascend from 0 to the number of pixels, one more than `slices`, and `map` sums to `samples`.
    `passes`: `samples` equals the fact `asked`, where there is one.

    Raises:
        ProductError: what is wrong.
    """
    for key, array in made.arrays.items():
        if array.dtype.kind == "f" and not _finite(array):
            raise ProductError(f"{name}: array {key!r} has values that are not finite")
    for key, value in made.facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ProductError(f"{name}: {key} is {value}")
    kind = names.parse(name).kind
    if kind == "samples":
        _validate_plan(name, made)
    elif kind == "passes" and made.facts.get("asked", made.facts.get("samples")) != made.facts.get("samples"):
        raise ProductError(
            f"{name}: {made.facts.get('samples')} samples were taken, {made.facts['asked']} were asked for"
        )


def _validate_plan(name: str, made: Product) -> None:
    slices, bounds, total = made.facts.get("slices"), made.facts.get("bounds", []), made.facts.get("samples")
    if not isinstance(slices, int) or slices < 0:
        raise ProductError(f"{name}: the slice plan lacks its number of slices")
    if slices == 0:
        return
    if len(bounds) != slices + 1 or bounds[0] != 0 or any(a > b for a, b in pairwise(bounds)):
        raise ProductError(f"{name}: the bounds of {slices} slices make no sense ({str(bounds)[:80]})")
    plan = made.arrays.get("map")
    if plan is not None and (bounds[-1] != plan.size or int(plan.sum(dtype=np.uint64)) != total):
        raise ProductError(
            f"{name}: the map has {plan.size} pixels and {int(plan.sum())} samples, not {bounds[-1]}, {total}"
        )


def _finite(array: NDArray[Any]) -> bool:
    """All numbers are finite; looked at in pieces, to hold no mask of a whole frame's moments."""
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[start : start + _PIECE]).all()) for start in range(0, flat.size, _PIECE))
