"""Faults in workers that have this directory on their PYTHONPATH: FARM_CHAOS names the directory that steers them.

    journal   what workers do, a JSON line each: begun, ended, made, and errors that were injected
    errors    while it is there: one in so many requests to the store fails
    quota     while it is there: nothing can be written, as on a full disk
    clock     seconds by which the clocks of all workers are off

Nothing in the workers knows of this: functions are wrapped as Python starts.
"""

import errno
import json
import os
import random
import time

CHAOS = os.environ.get("FARM_CHAOS")
LOOK_SECONDS = 0.1
ERROR_SHARE = 0.05

true_time = time.time


class Flags:
    """The flags in the directory, looked at a few times a second."""

    def __init__(self) -> None:
        self.due, self.errors, self.quota, self.offset = 0.0, False, False, 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + LOOK_SECONDS
        self.errors = os.path.exists(f"{CHAOS}/errors")
        self.quota = os.path.exists(f"{CHAOS}/quota")
        try:
            with open(f"{CHAOS}/clock") as file:
                self.offset = float(file.read() or 0.0)
        except (FileNotFoundError, ValueError):
            self.offset = 0.0


def note(event: str, job: str = "", task: str = "") -> None:
    line = json.dumps({"event": event, "pid": os.getpid(), "job": job, "task": task, "at": true_time()}) + "\n"
    handle = os.open(f"{CHAOS}/journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def wrap() -> None:
    flags, dice = Flags(), random.Random(os.getpid())

    def stepping() -> float:
        flags.look()
        return true_time() + flags.offset

    time.time = stepping
    from pipeline.farm import attempts, store
    from pipeline.farm.products import Products

    begin, end, forget, publish, write = (
        attempts.begin, attempts.end, attempts.forget, Products.publish, store._write_all,
    )  # fmt: skip

    def begun(place, directory, task, **options):
        number = begin(place, directory, task, **options)
        note("begun", directory, task)
        return number

    def ended(place, directory, task, *values, **options):
        try:
            return end(place, directory, task, *values, **options)
        finally:
            note("ended", directory, task)

    def forgotten(place, directory, task, *values):
        try:
            return forget(place, directory, task, *values)
        finally:
            note("ended", directory, task)

    def published(products, name, *values):
        made = publish(products, name, *values)
        if made:
            note("made", products.job.directory, name)
        return made

    def written(handle, chunk):
        flags.look()
        try:
            if flags.quota:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(handle, chunk)
        except OSError:
            note("error")
            raise

    def failing(method):
        def asked(self, name, *values, **options):
            flags.look()
            if flags.errors and dice.random() < ERROR_SHARE:
                note("error")
                raise store.StoreFault(f"{name} cannot be reached: input/output error (injected)", path=name)
            return method(self, name, *values, **options)

        return asked

    attempts.begin, attempts.end, attempts.forget = begun, ended, forgotten
    Products.publish, store._write_all = published, written
    for name in ("create", "read", "read_head", "exists"):
        setattr(store.LocalStore, name, failing(getattr(store.LocalStore, name)))


if CHAOS:
    wrap()
