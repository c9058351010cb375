"""Faults for rehearsals, in the workers that have this directory on their PYTHONPATH: FARM_FAULT says which.

raise     every render task raises, as on a broken device
memory    every render task runs out of memory
hang      every render task makes no progress
licence   every render task lacks a licence while the file FARM_FAULT_FILE exists
clock     the clock steps by a day, forward and back, every second
"""

import os
import time

FAULT = os.environ.get("FARM_FAULT")

if FAULT == "clock":
    true_time = time.time

    def stepping():
        """The time, and each other second that of tomorrow."""
        return true_time() + 86400.0 * (int(time.monotonic()) % 2)

    time.time = stepping
elif FAULT:
    from pipeline.farm import recipes_rehearsal

    whole = recipes_rehearsal.make

    def make(task, job, products, context):
        """As the recipe, with the fault."""
        if task.startswith("passes/"):
            if FAULT == "raise":
                raise RuntimeError("this device is broken")
            if FAULT == "memory":
                raise MemoryError("out of device memory")
            if FAULT == "hang":
                time.sleep(600)
            if FAULT == "licence" and os.path.exists(os.environ["FARM_FAULT_FILE"]):
                raise RuntimeError("license server does not respond")
        return whole(task, job, products, context)

    recipes_rehearsal.make = make
