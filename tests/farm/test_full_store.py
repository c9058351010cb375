"""A store that is full stops its jobs cleanly, and they go on when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import job as jobs


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_store_stops_the_job_without_an_attempt_lost_and_it_resumes(small_disk: Path, make_rig: Any) -> None:
    rig = make_rig(store=small_disk)
    rig.start("one")
    job = rig.claim("full", frames=range(1, 3), rounds=1, slices=2, size=20_000)
    ballast = small_disk / "ballast"
    with open(ballast, "wb") as file:
        file.write(bytes(3 << 20))
        file.write(bytes(700 << 10))
    rig.farm.submit(job)

    reason = rig.wait_for(rig.farm.on_hold)
    assert "the disk is full" in reason
    rig.wait_for(lambda: not rig.farm.running(job))
    assert rig.failures(job) == []
    rig.wait_for(lambda: sum(rig.farm.queues().values()) == 0)
    assert job.id in jobs.active(rig.store)

    ballast.unlink()
    assert rig.finish(job) == "done"
    assert rig.farm.on_hold() is None
    assert rig.failures(job) == []
    assert rig.deliverables(job) == rig.made_here(job)
