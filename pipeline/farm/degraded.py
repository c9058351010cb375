"""Frames that were made without a neighbour: once somebody has the neighbour tried again, they are denoised anew.

Their samples stay, also where the guide looked at pictures that lacked the neighbour: as with another λ, only what is
made of the samples changes.
"""

from __future__ import annotations

from collections.abc import Collection

from pipeline.errors import ProductError
from pipeline.farm import names
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.names import REPORT, Frame
from pipeline.farm.products import Products

__all__ = ["remake"]


def remake(plan: JobPlan, products: Products, retried: Collection[Frame]) -> list[Frame]:
    """Removes what was made without frames that are tried again: the last round's picture and error, the deliverable.

    Args:
        plan: of the job.
        products: of the job.
        retried: frames that were given up, and are not any more.

    Returns:
        The frames that will be made again, ascending.
    """
    near = {frame for each in retried for frame in plan.neighbours(each)}
    found = [frame for frame in sorted(near.difference(retried)) if _is_degraded(products, frame)]
    for frame in found:
        last = int(products.facts(names.stop(frame))["round"])
        gone = [names.frame_product(frame), names.denoised(frame, last)]
        if plan.every_round and plan.draft_radius is None:  # else the error was not judged by this picture
            gone.append(names.error(frame, last))
        for name in gone:
            products.store.delete(products.name(name))
    if found:
        products.store.delete(products.name(REPORT))
    return found


def _is_degraded(products: Products, frame: Frame) -> bool:
    """The frame is made, and says that it lacked a neighbour."""
    try:
        facts = products.facts(names.frame_product(frame))
        return bool(facts.get("degraded")) and products.exists(names.stop(frame))
    except ProductError:  # it is not there, or damaged: it is made in any case
        return False
