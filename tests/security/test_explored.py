"""Whatever is in a file, it is read, or refused in words of ours: no crash, no hang."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from pipeline.config.farm import load_farm
from pipeline.config.load import load_shot
from pipeline.errors import ConfigError, PenumbraError, ProductError
from pipeline.farm import attempts, plan, product, recipes_rehearsal, roster
from pipeline.farm import job as jobs
from pipeline.farm.control import Control
from pipeline.farm.job import Frozen, Rehearsal
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import Report, ticket_of
from pipeline.farm.store import LocalStore
from tests.security.exploring import explored

ROOT = Path(__file__).parents[2]
WORDS = st.sampled_from(
    ["", "x", "1-8", "1001-1004x2", "-1", "1e400", "null", "../x", "path", "{", "é", "\x00", "9" * 400, "every:2", "no"]
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), WORDS, st.text(max_size=8))
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside of a value."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place; `...` takes it out."""
    if not at:
        return {} if new is ... else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and new is ...:
        del copy[at[0]]
    else:
        copy[at[0]] = changed(copy[at[0]], at[1:], new)
    return copy


@st.composite
def variants(draw: st.DrawFn, document: Any) -> Any:
    """A document with a few values changed, or taken out."""
    for _ in range(draw(st.integers(1, 3))):
        every = list(places(document))
        document = changed(document, draw(st.sampled_from(every)), draw(st.one_of(st.just(...), VALUES)))
        if not isinstance(document, dict):
            break
    return document


# --- configuration ------------------------------------------------------------------------------------------------

SHOT = {
    "shot": "shot_a", "scene": "scene.xml", "frames": "1-4", "fps": 24, "resolution": [16, 8], "priority": 5,
    "camera": {"fov": 45, "keyframes": {"1": {"origin": [0, 1, 4], "target": [0, 1, 0], "up": [0, 1, 0]}}},
    "animate": {"ball": {"1": {"translate": [0, 0, 0], "rotate": {"axis": [0, 1, 0], "angle": 90}, "scale": 1.0}}},
    "sampling": {"integrator": "path", "first_spp": 4, "max_spp": 16, "target_error": 0.02, "guide": "uniform"},
    "denoise": {"backend": "none", "lambda": 1.0, "lambda_by_shape": {"ball": 2.0}},
    "farm": {"pool": "film", "tags": ["fast"], "order": "every:2", "approve": "no", "after": ["a.v001:frames"]},
}  # fmt: skip
FARM = {
    "broker_url": "redis://h:6379/0", "store": "./r", "lease_seconds": 30, "heartbeat_seconds": 10,
    "limits": {"x": 2}, "shares": {"film": 2}, "licence_errors": ["a+"], "max_losses": 5, "loss_hosts": 2,
}  # fmt: skip


@pytest.mark.parametrize("document", [SHOT, FARM], ids=["shot", "farm"])
def test_a_configuration_is_read_or_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "scene.xml").write_text('<scene version="3.0.0"/>')
    file = tmp_path / "shot.yaml"
    read = load_shot if document is SHOT else lambda where: load_farm(where, {})

    def one(value: Any) -> None:
        file.write_text(json.dumps(value))  # JSON is YAML
        try:
            read(file)
        except ConfigError as error:
            assert all(len(line) < 2000 for line in str(error).splitlines())

    explored(variants(document), one)


# --- OpenTimelineIO, in a process of its own: its library may end it ----------------------------------------------

READER = """
import json, sys
from pathlib import Path
from pipeline.editorial.timeline import read_edit
from pipeline.errors import ConfigError
for line in sys.stdin:
    path = Path(json.loads(line))
    try:
        read_edit(path)
        told = "read"
    except ConfigError as error:
        told = "refused"
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
    print(json.dumps(told), flush=True)
"""


@contextmanager
def reader() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_edit_is_read_or_refused_and_ends_no_process(tmp_path: Path) -> None:
    edits = sorted((ROOT / "shots").glob("*.otio"))
    document = json.loads(edits[0].read_text())
    file = tmp_path / "edit.otio"
    with reader() as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(str(edits[0])) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == "read"  # it has started

        def one(value: Any) -> None:
            file.write_text(json.dumps(value))
            process.stdin.write(json.dumps(str(file)) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            told = process.stdout.readline()  # type: ignore[union-attr]
            assert told, f"the process ended with {process.wait(5)}"
            assert json.loads(told) in ("read", "refused")

        explored(variants(document), one)


# --- products -----------------------------------------------------------------------------------------------------

ARRAYS = {"map": np.arange(12, dtype=np.uint32).reshape(3, 4), "mean": np.ones((2, 3), np.float32)}
NAME, HASH = "samples/1001/r00", "0" * 16
WHOLE = product.encode(NAME, job_hash=HASH, facts={"slices": 2, "reason": "x"}, arrays=ARRAYS)


def test_bytes_that_are_changed_are_a_product_or_refused() -> None:
    def one(cuts: list[tuple[int, int]]) -> None:
        data = bytearray(WHOLE)
        for place, byte in cuts:
            data[place % len(data)] = byte
        for read in (
            lambda: product.decode(bytes(data), name=NAME, job_hash=HASH),
            lambda: product.read_facts(data, name=NAME, job_hash=HASH),
        ):
            with suppress(ProductError):
                read()

    explored(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), one)


def test_a_header_that_lies_is_refused_though_its_digests_are_right() -> None:
    (length,) = struct.unpack_from("<I", WHOLE, 12)
    header = json.loads(WHOLE[32 : 32 + length])
    body = WHOLE[32 + length : -32]

    def one(value: Any) -> None:
        text = json.dumps(value).encode()
        text += b" " * (-(32 + len(text)) % 64)
        fixed = WHOLE[:12] + struct.pack("<I", len(text))
        head = fixed + hashlib.blake2b(fixed + text, digest_size=16).digest() + text
        data = head + body + hashlib.blake2b(head + body, digest_size=32).digest()
        try:
            found = product.decode(data, name=NAME, job_hash=HASH)
        except ProductError:
            return
        assert sum(array.nbytes for array in found.arrays.values()) <= 8 * len(data)

    explored(variants(header), one)


# --- jobs, and the records beside them ----------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> tuple[LocalStore, jobs.Job]:
    store = LocalStore(tmp_path / "store")
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", Rehearsal())
    return store, jobs.claim(store, "shot_a", frozen, frames=[1, 2])[0]


def test_a_job_file_is_a_job_or_refused(made: tuple[LocalStore, jobs.Job]) -> None:
    store, job = made
    file = store.root / job.directory / "job.json"
    document = json.loads(file.read_text())

    def one(value: Any) -> None:
        file.write_text(json.dumps(value))
        try:
            found = jobs.load(store, job.id)
            if len(found.frames) < 100 and (found.rehearsal is None or found.rehearsal.rounds < 20):
                plan.runnable(JobPlan.of(found), Products(store, found))
        except PenumbraError:
            pass

    explored(variants(document), one)


RECORDS = {
    "control/0000": {"action": "skip", "value": [1], "by": "a", "at": 1.0},
    "attempts/samples/0001/r00/0": {"host": "h", "pid": 1, "worker": "w", "started": 1.0, "memory": 0},
    "logs/samples/0001/r00/0.log": {"at": 1.0, "level": "info", "text": "x", "facts": {"outcome": "raised"}},
    "failures/samples/0001/r00": {
        "task": "t", "kind": "raised", "reason": "r", "attempts": 1, "hosts": ["h"], "log": [], "at": 1.0,
    },
}  # fmt: skip


def test_records_beside_a_job_are_read_or_refused(made: tuple[LocalStore, jobs.Job]) -> None:
    store, job = made
    root = store.root / job.directory
    task = "samples/0001/r00"

    def one(value: dict[str, Any]) -> None:
        for name, content in value.items():
            if name in RECORDS:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(json.dumps(content))
        asked = (
            lambda: Control(store, job.directory).look(),
            lambda: attempts.history(store, job.directory, task),
            lambda: attempts.failure(store, job.directory, task),
        )
        for ask in asked:
            with suppress(PenumbraError, FileNotFoundError):
                ask()

    explored(variants(RECORDS).filter(lambda value: isinstance(value, dict)), one)


def test_an_order_to_a_worker_is_read_or_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    roster.order(store, "w", "out", reason="loud")
    file = store.root / "farm" / "workers" / "w" / "0000"
    document = json.loads(file.read_text())

    def one(value: Any) -> None:
        file.write_text(json.dumps(value))
        with suppress(PenumbraError):
            roster.standing(store, "w")

    explored(variants(document), one)


def test_what_comes_through_redis_is_a_report_or_a_ticket_or_refused() -> None:
    def one(value: Any) -> None:
        for text in (json.dumps(value), str(value)):
            with suppress(PenumbraError):
                Report.of(text)
            ticket_of(text)

    explored(VALUES | variants({"body": "e30=", "properties": {"body_encoding": "base64"}}), one)
