"""`python -m workers`: one worker of the farm, with its child processes. `pipeline worker` is the same."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from pipeline.errors import FarmError, PenumbraError


def parser() -> argparse.ArgumentParser:
    """The command line of a worker."""
    made = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    made.add_argument("--broker", metavar="URL", help="Redis; by default the farm profile's, or $PIPELINE_BROKER_URL")
    made.add_argument(
        "--store", metavar="URL", action="append", help="product store to serve; may be given several times"
    )
    made.add_argument("--farm", metavar="PROFILE", help="farm profile, a name or a YAML file")
    made.add_argument("--settings", metavar="JSON", default="{}", help="values to lay over the farm profile")
    made.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="device to render with")
    made.add_argument("--slots", type=int, default=1, help="child processes, each with the whole device")
    made.add_argument("--name", help="unique in the farm; by default made from the host, the device and the process")
    made.add_argument("--queues", default="light,denoise,render,train", help="kinds of tasks to take")
    made.add_argument("--pools", default="", help="pools, by commas; without any it takes jobs of no pool")
    made.add_argument("--tags", default="", help="tags, by commas, that jobs may ask for")
    made.add_argument("--memory", type=float, metavar="GIB", help="of the device, for each slot; by default measured")
    made.add_argument("--hours", default="", help="take tasks in these hours alone: 'mon-fri 19:00-08:00, sat-sun'")
    made.add_argument(
        "--engine",
        choices=("mitsuba", "rehearsal"),
        default="mitsuba",
        help="rehearsal: synthetic tasks alone, so that neither Mitsuba nor a device is looked for",
    )
    made.add_argument("--no-events", dest="events", action="store_false", help="tell monitors nothing about tasks")
    made.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    made.add_argument("--owned", action="store_true", help="end when the process that holds our standard input does")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a worker until SIGTERM or SIGINT. Returns the exit code: 2 for a wrong option."""
    options = parser().parse_args(arguments)
    if options.owned:
        from pipeline.farm.embedded import on_end_of_owner

        on_end_of_owner(lambda: os.kill(os.getpid(), signal.SIGKILL))  # the children die with this process
    try:
        return run(options)
    except PenumbraError as error:
        print(f"worker: {error}", file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    """Reads the profile, finds the device, and starts Celery.

    Raises:
        PenumbraError: a wrong option, no broker, or no device.
    """
    from pipeline.capture import weights as captured
    from pipeline.config.farm import load_farm
    from pipeline.denoise.weights import fingerprint, shipped, together
    from pipeline.device import with_weights
    from pipeline.farm import recipes_rehearsal
    from pipeline.farm.hours import Hours
    from pipeline.farm.queues import KINDS, device_of, queue_name
    from pipeline.farm.requirements import MIB_PER_GIB
    from pipeline.farm.store import check_name, open_store
    from workers.app import start
    from workers.settings import WorkerSettings

    over = json.loads(options.settings) | ({"broker_url": options.broker} if options.broker else {})
    profile = load_farm(options.farm)
    farm = type(profile).model_validate({**profile.model_dump(), **over})
    if farm.broker_url is None:
        raise FarmError("a worker needs a broker: --broker redis://…, PIPELINE_BROKER_URL, or a farm profile")
    kinds = [kind.strip() for kind in options.queues.split(",")]
    learns = find_spec("torch") is not None
    if options.engine == "mitsuba" and not learns and "train" in kinds:
        print("worker: no tasks of the kind train are taken, as the package torch is not installed", file=sys.stderr)
        kinds.remove("train")
    rehearsal = recipes_rehearsal.environment()
    rendering = [mitsuba_environment(options.device)] if options.engine == "mitsuba" else []
    weights = {preset: fingerprint(preset) for preset in shipped()} if learns else {}
    materials = captured.fingerprints() if learns else {}
    served = [
        *rendering,
        *(
            with_weights(each, {name: weights[name] for name in names})
            for each in rendering
            for names in (together() if weights else ())
        ),
        *(with_weights(each, {name: materials[name]}) for each in rendering for name in materials),
        rehearsal,
    ]
    Hours.parse(options.hours)  # refuses what it cannot read
    settings = WorkerSettings(
        name=check_name(options.name or f"{socket.gethostname()}.{options.device.replace(':', '')}.{os.getpid()}"),
        stores=tuple(open_store(url).url for url in options.store or [farm.store]),
        device=options.device,
        environments=tuple(str(environment["key"]) for environment in (*rendering, rehearsal)),
        weights={**weights, **materials},
        queues=tuple(
            queue_name(kind, device_of(environment), str(environment["key"]))
            for kind in sorted(kinds, key=lambda kind: KINDS.index(kind) if kind in KINDS else 0)
            for environment in served
        ),
        slots=options.slots,
        events=options.events,
        pools=words(options.pools) or ("",),
        tags=words(options.tags),
        memory=round(options.memory * MIB_PER_GIB) if options.memory else device_memory(options),
        hours=options.hours,
        farm=farm,
    )
    return start(settings, log_level=options.log_level)


def words(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def device_memory(options: argparse.Namespace) -> int:
    """Memory of the worker's device for each slot, MiB: the GPU's, or the machine's for a worker on the CPU."""
    import psutil

    from pipeline.device import CUDA, devices

    whole = psutil.virtual_memory().total // 2**20
    if options.engine == "mitsuba" and os.environ.get("PIPELINE_VARIANT") == CUDA:
        gpus = [device.memory // 2**20 for device in devices() if device.kind == "cuda"]
        whole = min(gpus, default=whole)
    return int(whole) // int(options.slots)


def mitsuba_environment(device: str) -> dict[str, object]:
    """Binds this process and its children to a device, and returns the environment that its pixels depend on.

    Raises:
        DeviceError: the device does not work.
        FarmError: there is no such device.
    """
    from pipeline.device import CUDA, LLVM, choose_variant, environment, environment_key

    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise FarmError(f"'{device}' is not a device: auto, cpu, cuda, or cuda:0 and so on")
    if number:
        os.environ["CUDA_VISIBLE_DEVICES"] = number
    variant = choose_variant() if kind == "auto" else CUDA if kind == "cuda" else LLVM
    os.environ["PIPELINE_VARIANT"] = variant
    found = environment(variant)
    return {**found, "key": environment_key(found)}


if __name__ == "__main__":
    sys.exit(main())
