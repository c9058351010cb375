"""Faults for rehearsals, in the workers that have this directory on their PYTHONPATH: FARM_FAULT says which.

raise     every render task raises, as on a broken device
memory    every render task runs out of memory
hang      every render task makes no progress
licence   every render task lacks a licence while the file FARM_FAULT_FILE exists
"""

import os
import time

FAULT = os.environ.get("FARM_FAULT")

if FAULT:
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
