"""What is compared with what: the studies, each a set of trials and the orderings that the paper found among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from benchmarks.ablation_networks import Design
from benchmarks.ablation_recipe import COMBINING, COMPOSING, ENCODING, NOTHING, Recipe, Training
from benchmarks.ablation_trials import Trial

__all__ = ["ADAPTED", "REACH", "STUDIES", "WINDOWS", "Ordering", "Study", "trials"]

ADAPTED = (10, 30, 100)
"""Sequences that a new source is learnt from (Figure 11: 75 to 1200)."""

WINDOWS: Mapping[str, tuple[int, ...]] = {
    "3": (-1, 1),
    "5": (-2, -1, 1, 2),
    "7": (-3, -2, -1, 1, 2, 3),
    "4p": (-3, -2, -1),
}
"""Neighbours by the window's name; p: the past alone, the centre counted."""

REACH = 3
"""Frames on either side that these windows need."""


@dataclass(frozen=True)
class Ordering:
    """One comparison: the paper's winner over its loser, of the same scenes and seeds.

    Attributes:
        key: of its row, behind the study's.
        what: of its row.
        pairs: (winner, loser), labels of trials.
        metric: of `ablation_trials`.
        asked: whether the paper says who wins; else the ratio is only reported.
    """

    key: str
    what: str
    pairs: tuple[tuple[str, str], ...]
    metric: str = "smape"
    asked: bool = True


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        key: of its row.
        what: of its row; what the paper shows.
        title: of its section.
        orderings: what is compared.
        long: whether it needs the long sequences.
    """

    key: str
    what: str
    title: str
    orderings: tuple[Ordering, ...]
    long: bool = False


def _chain(metric: str, word: str, labels: tuple[str, ...], unit: str) -> tuple[Ordering, ...]:
    """Every label against the one before it."""
    return tuple(
        Ordering(f"{more}-{less}.{metric}", f"{word}, {more} / {less} {unit}", ((more, less),), metric)
        for less, more in pairwise(labels)
    )


STUDIES = {
    study.key: study
    for study in (
        Study(
            "kernel",
            "kernel over direct prediction, the same network otherwise",
            "Kernel against direct prediction (§8)",
            (Ordering("smape", "SMAPE, kernel / direct prediction", (("kernel", "direct"),)),
             Ordering("dssim", "DSSIM, kernel / direct prediction", (("kernel", "direct"),), "dssim", asked=False)),
        ),
        Study(
            "depth",
            "deeper networks, and 6 blocks at several scales, leave fewer blotches; α = 1 is worse than a learnt α",
            "Depth and scales (Figures 5, 16)",
            (
                *_chain("blotches", "SMAPE of 8×8 means", ("6", "12", "24"), "blocks"),
                Ordering("ms-6.blotches", "SMAPE of 8×8 means, multi-scale / 6", (("6 multi-scale", "6"),), "blotches"),
                Ordering("ms-naive.smape", "SMAPE, 6 multi-scale / α = 1", (("6 multi-scale", "6, α = 1"),)),
                Ordering("ms-6.smape", "SMAPE, 6 multi-scale / 6 blocks", (("6 multi-scale", "6"),), asked=False),
                Ordering("24-6.smape", "SMAPE, 24 blocks / 6 blocks", (("24", "6"),), asked=False),
            ),
        ),
        Study(
            "windows",
            "larger windows flicker less and err no more; ours beats the recurrent direct prediction on past frames",
            "Windows (Figures 12–15)",
            (
                *_chain("smape", "SMAPE", ("1", "3", "5", "7"), "frames a window"),
                *_chain("flicker", "DSSIM of adjacent still frames", ("1", "3", "5", "7"), "frames a window"),
                Ordering("past-rdp.smape", "SMAPE, past-only / R-DP, 4 frames each", (("4p", "R-DP 4p"),)),
                Ordering("past-rdp.dssim", "DSSIM, past-only / R-DP, 4 frames each", (("4p", "R-DP 4p"),), "dssim"),
                Ordering("7-past.smape", "SMAPE, 7 frames / past-only", (("7", "4p"),), asked=False),
            ),
            long=True,
        ),
        Study(
            "encoders",
            "both sources by one network, each through its own encoder, against networks of one source or one encoder; "
            "and a new source learnt from little data by an encoder alone",
            "Encoders (Table 2, Figure 11)",
            (
                Ordering(
                    "foreign",
                    "SMAPE, both with encoders / trained on the other source only",
                    (("separate on A", "B only on A"), ("separate on B", "A only on B")),
                ),
                Ordering(
                    "shared",
                    "SMAPE, both with encoders / both without",
                    (("separate on A", "shared on A"), ("separate on B", "shared on B")),
                ),
                Ordering(
                    "own",
                    "SMAPE, both with encoders / trained on that source only",
                    (("separate on A", "A only on A"), ("separate on B", "B only on B")),
                    asked=False,
                ),
                *(
                    Ordering(
                        f"adapt-{count}",
                        f"SMAPE, new encoder alone / from scratch, {count} sequences",
                        ((f"encoder {count}", f"scratch {count}"),),
                        asked=count < max(ADAPTED),  # with much data both are about alike (§7.1)
                    )
                    for count in ADAPTED
                ),
            ),
        ),
    )
}  # fmt: skip
"""By key, in the order in which they are trained."""


def trials(study: str, seed: int, recipe: Recipe, *, steps: int, design: Design | None = None) -> dict[str, Trial]:
    """The trials of a study, by label.

    Modules on locked features (temporal, composition, a new encoder) have half of the steps.

    Args:
        study: a key of `STUDIES`.
        seed: of weights and draws.
        recipe: of all trainings.
        steps: of a network.
        design: what the networks have in common; its blocks are those of the shallow one.
    """
    small = design or Design()
    single = Training(small, recipe, seed, steps)
    if study == "kernel":
        return {"kernel": Trial(single), "direct": Trial(_of(single, head="direct"))}
    if study == "depth":
        layered = replace(_of(single, scales=3), trains=COMPOSING, steps=steps // 2, start=single)
        naive = replace(_of(single, scales=3, naive=True), trains=NOTHING, steps=0, start=single)
        deeper = {str(6 * n): Trial(_of(single, blocks=small.blocks * n)) for n in (2, 4)}
        return {"6": Trial(single), **deeper, "6 multi-scale": Trial(layered), "6, α = 1": Trial(naive)}
    if study == "windows":
        direct = _of(single, head="direct")
        found = {"1": Trial(single, long=True)}
        for name, neighbours in WINDOWS.items():
            found[name] = Trial(_combined(single, neighbours), long=True)
        recurrent = replace(_combined(direct, WINDOWS["4p"]), design=replace(small, head="recurrent"))
        return {**found, "R-DP 4p": Trial(recurrent, long=True)}
    if study == "encoders":
        return _encoders(single)
    raise ValueError(f"no study `{study}`")


def _of(training: Training, **changes: object) -> Training:
    """The training of another design."""
    return replace(training, design=replace(training.design, **changes))  # type: ignore[arg-type]


def _combined(single: Training, neighbours: tuple[int, ...]) -> Training:
    """The temporal module and the heads on locked features (§3.3)."""
    return replace(single, trains=COMBINING, neighbours=neighbours, steps=single.steps // 2, start=single)


def _encoders(single: Training) -> dict[str, Trial]:
    """A is `penumbra`, B `filtered`; the new source is `split`."""
    a, b = "penumbra", "filtered"
    only_b = replace(single, looks=((b, a),))  # through an encoder that is called A's, and is its own
    shared = replace(single, looks=((a, a), (b, a)))
    separate = replace(_of(single, encoders=(a, b)), looks=((a, a), (b, b)))
    found: dict[str, Trial] = {}
    for name, training in (("A only", single), ("B only", only_b), ("shared", shared)):
        found |= {f"{name} on A": Trial(training, a, a), f"{name} on B": Trial(training, b, a)}
    found |= {"separate on A": Trial(separate, a, a), "separate on B": Trial(separate, b, b)}
    for count in ADAPTED:
        fresh = replace(_of(single, encoders=("split",)), looks=(("split", "split"),), sequences=count)
        adapted = replace(fresh, trains=ENCODING, steps=single.steps // 2, start=separate)
        found[f"encoder {count}"] = Trial(adapted, "split", "split")
        found[f"scratch {count}"] = Trial(fresh, "split", "split")
    return found
