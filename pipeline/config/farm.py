"""A farm's profile: where its broker and store are, and how work is cut and watched."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.problems import KeyPath, Source, nearest, problems_of
from pipeline.config.values import ConfigModel, Integer, Number
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

__all__ = ["Farm", "load_farm"]

PROFILES = Path("configs") / "farm"
_SCHEMES = ("redis", "rediss", "redis+socket")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_VARIABLES = {"broker_url": "PIPELINE_BROKER_URL", "store": "PIPELINE_STORE"}


class Farm(ConfigModel):
    """Settings of a farm. The defaults serve the embedded farm of one machine as well as a studio's."""

    broker_url: str | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="Redis: redis://host:6379/0, rediss://… (TLS) or redis+socket:///path; null: an embedded one.",
    )
    store: str = Field(
        default="./renders", min_length=1, description="Where products and frames go: a directory or an fsspec URL."
    )
    target_task_seconds: Number = Field(default=60.0, gt=0, le=3600, description="Run time slices aim at, seconds.")
    assumed_samples_per_second: Number = Field(
        default=1_000_000.0, gt=0, description="Throughput of a device before one was measured, samples per second."
    )
    min_slice_samples: Integer = Field(
        default=500_000, ge=1, description="No slice is smaller: below that, starting a pass costs more than the pass."
    )
    wave_samples: Integer = Field(
        default=2**22, ge=1024, le=2**26, description="Samples of one wave, at most: bounds memory."
    )
    lease_seconds: Number = Field(default=30.0, ge=1, le=3600, description="Life of a lease without renewal, seconds.")
    heartbeat_seconds: Number = Field(
        default=10.0, gt=0, description="Time between renewals of a lease, seconds; at most half of lease_seconds."
    )
    sweep_seconds: Number = Field(
        default=5.0, gt=0, le=3600, description="Time between sweeps, which find lost work, seconds."
    )
    control_seconds: Number = Field(
        default=5.0, gt=0, le=60, description="Longest time between two looks at pause, cancel and priority, seconds."
    )
    max_raises: Integer = Field(default=3, ge=1, le=100, description="A task that raised this often is parked.")
    retry_seconds: Number = Field(
        default=1.0, ge=0, le=3600, description="Wait before a failed task's second attempt, seconds; then it doubles."
    )
    stuck_seconds: Number = Field(
        default=1800.0, ge=1, description="A task that makes no progress for this long is ended, seconds."
    )
    max_losses: Integer = Field(
        default=5, ge=1, le=100, description="A task that was lost this often, on loss_hosts hosts or more, is parked."
    )
    loss_hosts: Integer = Field(
        default=2, ge=1, le=100, description="Hosts that must have lost a task before it is parked; ≤ max_losses."
    )
    bar_failures: Integer = Field(
        default=3, ge=1, le=1000, description="A worker that fails this many tasks of a job in a row is kept off it."
    )
    out_jobs: Integer = Field(
        default=2, ge=1, le=100, description="A worker kept off this many jobs in a row is taken out of the farm."
    )
    limits: dict[Name, Annotated[Integer, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Most tasks at a time, by name: a licence, or a kind of task (passes, denoised, frames).",
    )
    shares: dict[Name, Annotated[Number, Field(gt=0)]] = Field(
        default_factory=dict, description="Weights of shows that share the farm; 1 where nothing is said."
    )
    licence_errors: tuple[str, ...] = Field(
        default=(r"(?i)\blicen[cs]e\b.{0,80}\b(denied|expired|unavailable|checkout|server|could not|cannot|failed)\b",),
        description="Expressions: an error that holds one is a missing licence. The task waits, and loses no attempt.",
    )
    cost_per_hour: Number | None = Field(
        default=None, ge=0, description="What an hour of one worker slot costs, in any money; null: costs are not told."
    )
    child_tasks: Integer = Field(
        default=64, ge=1, description="Tasks after which a worker's child process is replaced by a new one."
    )
    queue_depth_per_slot: Integer = Field(
        default=2, ge=1, le=100, description="Tasks queued per live slot: low, so that priority and cancel act at once."
    )
    publish: tuple[str, ...] = Field(
        default=(), description="Entry points of the group penumbra.publish that each finished version is given to."
    )
    feature_cache_bytes: Integer = Field(
        default=8 * 2**30,
        ge=0,
        description="Disk that the denoiser may take on each node to keep features of frames, bytes; 0: none.",
    )

    @field_validator("broker_url")
    @classmethod
    def _is_redis(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            complete = bool(parts.path.strip("/")) if parts.scheme == "redis+socket" else bool(parts.hostname)
            _ = parts.port  # raises where it is not a number
        except ValueError:
            complete = False
        # The URL itself is not told: it may hold a password.
        if not complete or parts.scheme not in _SCHEMES:
            raise ValueError(
                "must be the URL of a Redis: redis://host:6379/0, rediss://host:6379/0 or redis+socket:///path"
            )
        return url

    @field_validator("heartbeat_seconds")
    @classmethod
    def _renews_in_time(cls, heartbeat: float, info: ValidationInfo) -> float:
        lease = info.data.get("lease_seconds")
        if lease is not None and heartbeat > lease / 2:
            raise ValueError(f"must be at most half of lease_seconds, which is {lease:g}, not {heartbeat:g}")
        return heartbeat

    @field_validator("licence_errors")
    @classmethod
    def _are_expressions(cls, expressions: tuple[str, ...]) -> tuple[str, ...]:
        for expression in expressions:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{expression!r:.60} is not a regular expression: {error}") from error
        return expressions

    @field_validator("loss_hosts")
    @classmethod
    def _can_be_reached(cls, hosts: int, info: ValidationInfo) -> int:
        losses = info.data.get("max_losses")
        if losses is not None and hosts > losses:
            raise ValueError(f"must be at most max_losses, which is {losses}, not {hosts}")
        return hosts


def load_farm(profile: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Farm:
    """The farm's profile: the file, with the environment's variables above it.

    Args:
        profile: name (`configs/farm/<name>.yaml` below the current directory) or path; `PIPELINE_FARM` when None,
            and the defaults when that is not set.
        environ: `os.environ` when None. `PIPELINE_BROKER_URL` and `PIPELINE_STORE` stand above the file.

    Raises:
        ConfigError: one line for every problem.
    """
    environ = os.environ if environ is None else environ
    where = profile or environ.get("PIPELINE_FARM") or None
    data: dict[Any, Any] = {}
    path: Path | None = None
    lines: dict[KeyPath, int] = {}
    if where is not None:
        path = _find_profile(where)
        file = read_yaml(path)
        data, lines = dict(file.data), file.lines
    options: dict[KeyPath, str] = {}
    for key, variable in _VARIABLES.items():
        if environ.get(variable):
            data[key] = environ[variable]
            options[(key,)] = variable
    try:
        return Farm.model_validate(data)
    except ValidationError as error:
        raise Source(path, lines, options).error(problems_of(error, Farm)) from error


def _find_profile(where: Path | str) -> Path:
    named = PROFILES / f"{where}.yaml"
    if isinstance(where, str) and "/" not in where and named.is_file():
        return named
    if Path(where).is_file():
        return Path(where)
    known = [path.stem for path in PROFILES.glob("*.yaml")] if PROFILES.is_dir() else []
    raise ConfigError(
        f"there is no farm profile {str(where)!r:.60}: neither {named} nor such a file",
        suggestion=nearest(str(where), known) or (f"there are {', '.join(sorted(known))}" if known else None),
    )
