"""Rehearsed jobs made in the test's own process, and a server over them; no broker, no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from pipeline.api.app import create_app
from pipeline.api.tokens import issue
from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm import attempts, plan, recipes_rehearsal, watching
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.store import LocalStore, Store


class Rehearsed:
    """Makes jobs."""

    @staticmethod
    def claim(store: Store, shot: str = "shot_010", *, frames: tuple[int, ...] = (1, 2), **settings: Any) -> Job:
        """Claims a rehearsal of two rounds of two slices."""
        rehearsal = Rehearsal(**{"rounds": 2, "slices": 2, **settings})
        frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal)
        return jobs.claim(store, shot, frozen, frames=frames)[0]

    @staticmethod
    def make(store: Store, job: Job, *, tasks: int | None = None) -> int:
        """Makes so many of a job's products, or all of them, with attempts and logs; returns how many."""
        products, made = Products(store, job), 0
        wanted = JobPlan.of(job, Control(store, job.directory).look())
        while ready := plan.runnable(wanted, products):
            for task in ready:
                if made == tasks:
                    return made
                number = attempts.begin(store, job.directory, task, worker="test")
                products.publish(task, *recipes_rehearsal.make(task, job, products, Context()))
                attempts.end(store, job.directory, task, number, outcome="made")
                made += 1
        jobs.deactivate(store, job)
        return made

    def done(self, store: Store, shot: str = "shot_010", **settings: Any) -> Job:
        """A job with all of its products."""
        job = self.claim(store, shot, **settings)
        self.make(store, job)
        return job


@pytest.fixture(autouse=True)
def every_look_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow look is not spared, as a farm with many jobs spares it: tests look twice at once on slow machines too."""
    monkeypatch.setattr(watching, "LOOK_SHARE", 0)


@pytest.fixture
def rehearsed() -> Rehearsed:
    return Rehearsed()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "renders")


@dataclass
class Served:
    """A served farm.

    Attributes:
        store: of it.
        farm: of it, without a broker.
        app: the server.
        http: a client without a token.
        read, write: tokens.
        audit: file of the audit log.
        tokens: file of the tokens.
        project: directory that shots are submitted from, and the working directory.
    """

    store: LocalStore
    farm: Farm
    app: Any
    http: TestClient
    read: str
    write: str
    audit: Path
    tokens: Path
    project: Path

    def get(self, path: str, token: str | None = None, **params: Any) -> httpx.Response:
        return self.http.get(path, headers=self.bearer(self.read if token is None else token), params=params)

    def post(self, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        return self.http.post(path, headers=self.bearer(self.write if token is None else token), **options)

    @staticmethod
    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def audited(self) -> str:
        return self.audit.read_text()


@pytest.fixture
def served(tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    project = tmp_path / "project"
    (project / "shots").mkdir(parents=True)
    monkeypatch.chdir(project)
    tokens, audit = tmp_path / "tokens.json", tmp_path / "audit.log"
    read, write = issue(tokens, "looker", "read"), issue(tokens, "wrangler", "write")
    farm = Farm.offline(store, FarmConfig(cost_per_hour=2.0))
    app = create_app(farm, tokens=tokens, project=project, audit=audit, look_seconds=0.0)
    with TestClient(app, raise_server_exceptions=False) as http:
        yield Served(store, farm, app, http, read, write, audit, tokens, project)
