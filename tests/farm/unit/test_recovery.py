"""What follows from the attempts of a task, and what an error means."""

from __future__ import annotations

import pytest

from pipeline.config.farm import Farm
from pipeline.errors import SceneError
from pipeline.farm.attempts import Attempt, Outcome
from pipeline.farm.recovery import LONGEST_DELAY, classified, delay, remedy
from pipeline.farm.store import StoreFault

LIMITS = Farm(max_raises=3, max_losses=5, loss_hosts=2, retry_seconds=1.0)


def tried(*outcomes: Outcome | None, hosts: str = "a", workers: str = "w", memory: int = 0) -> list[Attempt]:
    return [
        Attempt(n, hosts[n % len(hosts)], 1, workers[n % len(workers)], 0.0, memory, outcome, f"because {n}")
        for n, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("attempted", "kind"),
    [
        (tried("raised", "raised"), None),
        (tried("raised", "raised", "raised"), "raised"),
        (tried("raised", "stuck", "crashed"), "crashed"),
        (tried("raised", "crashed", "stuck"), "stuck"),
        (tried("raised", None, "raised", "cancelled", "raised"), "raised"),
        (tried("cancelled", "cancelled", "cancelled", "cancelled"), None),
        (tried("superseded", "superseded", "superseded", "superseded"), None),
        (tried("memory", "memory", "memory", "memory"), None),
        (tried(None, None, None, None, hosts="ab"), None),
        (tried(None, None, None, None, None, hosts="ab"), "lost"),
        (tried(*[None] * 9, hosts="a"), None),
        (tried(*[None] * 10, hosts="a"), "lost"),
    ],
)
def test_a_task_is_parked_after_its_own_faults_and_later_after_losses(
    attempted: list[Attempt], kind: str | None
) -> None:
    found = remedy(attempted, LIMITS).park

    assert (None if found is None else found[0]) == kind


def test_failures_of_a_worker_that_is_kept_off_the_job_do_not_count() -> None:
    attempted = tried("raised", "raised", "raised", "raised", workers="bbbg")

    assert remedy(attempted, LIMITS).park is not None
    assert remedy(attempted, LIMITS, barred={"b"}).park is None


def test_a_failed_task_waits_ever_longer_and_goes_to_another_worker() -> None:
    assert [remedy(tried(*["raised"] * n), LIMITS).delay for n in (0, 1, 2)] == [0.0, 1.0, 2.0]
    assert remedy(tried("raised", "crashed", workers="ab"), LIMITS).avoid == {"a", "b"}
    assert delay(50, 1.0) == LONGEST_DELAY


def test_memory_that_runs_out_leads_to_smaller_waves_and_then_to_a_larger_device() -> None:
    ran_out = [tried(*["memory"] * n, memory=8192) for n in range(5)]

    assert [remedy(each, LIMITS).waves for each in ran_out] == [1, 4, 16, 16, 16]
    assert [remedy(each, LIMITS).memory for each in ran_out] == [0, 0, 0, 8193, 8193]


def test_a_task_that_no_device_is_large_enough_for_is_parked_and_says_so() -> None:
    attempted = tried("memory", "memory", "memory", memory=8192)

    assert remedy(attempted, LIMITS, strongest=None).park is None
    assert remedy(attempted, LIMITS, strongest=24576).park is None
    found = remedy(attempted, LIMITS, strongest=8192).park
    assert found is not None and found[0] == "memory" and "8.0 GiB" in found[1]


def test_a_second_loss_looks_like_a_lack_of_memory() -> None:
    assert [remedy(tried(*[None] * n), LIMITS).waves for n in (1, 2, 3)] == [1, 4, 16]


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls its own."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (MemoryError(), "memory"),
        (OutOfMemoryError("tried to allocate 2 GiB"), "memory"),
        (RuntimeError("jit_malloc(): out of memory! Could not allocate 4 GiB"), "memory"),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), "memory"),
        (StoreFault("/mnt/renders cannot be read: the network file system has lost it"), "away"),
        (RuntimeError("Arnold: license server does not respond"), "away"),
        (RuntimeError("licence checkout failed: all 10 seats are taken"), "away"),
        (SceneError("scene.xml: the license plate has no texture"), "raised"),
        (ValueError("a memory of better days"), "raised"),
    ],
)
def test_an_error_belongs_to_a_class(error: Exception, outcome: str) -> None:
    assert classified(error, Farm()) == outcome
