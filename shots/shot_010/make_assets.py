"""Makes every mesh and texture of shot_010: `python make_assets.py [FOLDER]`. The result is always the same."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import furniture  # noqa: E402  (the folder is put on the path first)
import room  # noqa: E402
import still_life  # noqa: E402
import textures  # noqa: E402
from craft.mesh import write_ply  # noqa: E402

FINE = ("rug_fringe", "sprig_leaves", "sprig_stems")
"""Small enough to go without normals of their own: Mitsuba finds them."""


def main(folder: Path) -> None:
    textures.write_all(folder / "textures")
    meshes = folder / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    for name, (mesh, uv) in {**room.build(), **furniture.build(), **still_life.build()}.items():
        write_ply(meshes / f"{name}.ply", mesh, uv=uv, crease=None if name in FINE else 40)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
