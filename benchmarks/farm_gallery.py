"""The picture of a farm at work: Flower's list of tasks, while two workers render a sample shot.

python -m benchmarks.farm_gallery

Needs Chromium and the extra `farm`. Writes docs/images/farm-flower.png.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.browser import Browser
from benchmarks.farm_rig import Rig, claim_shot
from benchmarks.machine import ROOT

PICTURE = ROOT / "docs" / "images" / "farm-flower.png"
SIZE = (1440, 640)
SHOT = "shot_010"
SETTINGS = {"resolution": [320, 180], "frames": "1001-1008", "denoise.backend": "kpcn"}
LOGIN = ("lighter", "a-password-for-this-picture")
FINISHED = 2
"""Frames that are done when the picture is taken; the others are at all stages."""


def main() -> None:
    """Renders the shot, and takes the picture on the way."""
    with tempfile.TemporaryDirectory(prefix="penumbra-picture-") as scratch:
        directory = Path(scratch)
        (directory / "store").mkdir()
        job = claim_shot(directory / "store", SHOT, SETTINGS)
        rig = Rig(directory / "store", workers=2, logs=directory, pinned=True, target_task_seconds=4.0)
        try:
            with flower(rig, directory) as address:
                browser = Browser(directory / "browser", width=SIZE[0], height=SIZE[1])
                try:
                    ending = threading.Thread(target=rig.run, args=(job,))
                    ending.start()
                    frames = directory / "store" / job.directory / "frames"
                    while ending.is_alive() and len(list(frames.glob("*.exr"))) < FINISHED:
                        time.sleep(0.2)
                    browser.open(f"{address}/tasks")
                    browser.until("document.querySelectorAll('table tbody tr').length > 5")
                    browser.screenshot(PICTURE)
                    ending.join()
                finally:
                    browser.close()
        finally:
            rig.close()
    print(PICTURE.relative_to(ROOT))


@contextmanager
def flower(rig: Rig, directory: Path) -> Iterator[str]:
    """Flower as `deploy` has it, on the farm's broker: its address, login and all."""
    logins = directory / "flower.logins"
    logins.write_text(":".join(LOGIN) + "\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        **os.environ,
        "PIPELINE_BROKER_URL": rig.broker.broker_url,
        "PIPELINE_FLOWER_LOGINS": str(logins),
        "PIPELINE_FLOWER_STATE": str(directory),
    }
    command = [sys.executable, "-m", "celery", "--app", "workers.monitor", "flower"]
    command += [f"--conf={ROOT / 'deploy/flower/flowerconfig.py'}", "--address=127.0.0.1", f"--port={port}"]
    with (directory / "flower.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
    try:
        _answers(f"http://127.0.0.1:{port}/healthcheck", process)
        yield f"http://{LOGIN[0]}:{LOGIN[1]}@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("Flower does not start") from error
            time.sleep(0.2)


if __name__ == "__main__":
    main()
