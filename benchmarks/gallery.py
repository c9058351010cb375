"""The pictures of the README, from rendered jobs.

pipeline submit shot_010 shot_020
python -m benchmarks.gallery renders
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import ROOT
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.products import Products
from pipeline.farm.store import open_store
from pipeline.images.deliverable import read
from pipeline.images.viewing import png_bytes, to_display
from pipeline.render.moments import Moments, combine

IMAGES = ROOT / "docs" / "images"
SHEET_WIDTH = 1280


def main(store_directory: str) -> None:
    """Writes docs/images from the newest version of each sample shot.

    Args:
        store_directory: where the shots were rendered.
    """
    store = open_store(store_directory)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for shot, frame in (("shot_010", 1004), ("shot_020", 1003)):
        job = jobs.load(store, jobs.jobs(store, shot)[-1])
        products = Products(store, job)
        first = combine(Moments.from_arrays(products.read(names.buffers(frame, 0)).arrays))
        (IMAGES / f"{shot}-noisy.png").write_bytes(png_bytes(to_display(first.beauty)))
        directory = Path(store_directory) / job.directory
        delivered = read(directory / "frames" / f"{shot}.{names.frame_text(frame)}.exr")
        (IMAGES / f"{shot}-delivered.png").write_bytes(png_bytes(to_display(delivered.beauty)))
        with Image.open(directory / "review" / "contact_sheet.png") as sheet:
            height = round(sheet.height * SHEET_WIDTH / sheet.width)
            small = sheet.convert("RGB").resize((SHEET_WIDTH, height), Image.Resampling.LANCZOS)
        (IMAGES / f"{shot}-sheet.png").write_bytes(png_bytes(np.asarray(small)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "renders")
