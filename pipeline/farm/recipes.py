"""How each kind of product is made: reads the products it needs, calls the pure stage, returns what is to be published.

`make` is the one entrance for jobs of the engine `mitsuba`; rehearsals have recipes of their own behind the same plan.
What renders is in `recipes_render`, what looks at finished buffers in `recipes_frame`, what looks at all frames in
`recipes_budget` and `recipes_report`; they are imported when they are needed, because they bring Mitsuba, a denoiser
or OCIO with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pipeline.errors import FarmError, ProductError
from pipeline.farm import names
from pipeline.farm.context import Context
from pipeline.farm.job import Job
from pipeline.farm.products import Products
from pipeline.farm.reuse import REPLAYED

if TYPE_CHECKING:
    from pipeline.farm.names import Name

__all__ = ["Made", "make"]

Made = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]
"""Facts and arrays of a product."""


def make(task: str, job: Job, products: Products, context: Context) -> Made:
    """Makes one product of a job that renders.

    Args:
        task: the product's name.
        job: the frozen job.
        products: what exists of it.
        context: of the process that runs the task.

    Raises:
        Cancelled: the job was paused or cancelled meanwhile.
        MissingProduct: an input vanished: the planner makes it anew.
        PenumbraError: what went wrong, in one line.
    """
    name = names.parse(task)
    context.check()
    if job.replay is not None and name.kind in (*REPLAYED, "passes"):
        raise FarmError(f"{task}: {job.replay.job}, which {job.id} denoises anew, has lost what this is made of")
    recipe: Callable[[Name, Job, Products, Context], Made]
    match name.kind:
        case "samples" | "passes" | "buffers":
            from pipeline.farm import recipes_render

            recipe = getattr(recipes_render, name.kind)
        case "budget":
            from pipeline.farm import recipes_budget

            recipe = recipes_budget.budget
        case "error" | "stop" | "draft" | "denoised" | "frames":
            from pipeline.farm import recipes_frame

            recipe = getattr(recipes_frame, name.kind)
        case "report":
            from pipeline.farm import recipes_report

            recipe = recipes_report.report
        case _:
            raise ProductError(f"{task}: no task makes this")
    return recipe(name, job, products, context)
