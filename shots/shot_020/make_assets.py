"""Makes the assets of shot_020: `python make_assets.py [FOLDER]`. The result is always the same."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import growth  # noqa: E402  (the folder is put on the path first)
import land  # noqa: E402
import scatter  # noqa: E402
import textures  # noqa: E402
from craft.mesh import write_ply  # noqa: E402


def main(folder: Path) -> None:
    textures.write_all(folder / "textures")
    meshes = folder / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    write_ply(meshes / "ground.ply", land.ground(), crease=None)
    write_ply(meshes / "water.ply", land.water(), crease=None, uv=False)
    for name, (mesh, uv) in growth.build().items():
        write_ply(meshes / f"{name}.ply", mesh, uv=uv, crease=35 if name == "boat" else 60)
    strewn, placed = scatter.placements()
    for group, variants in growth.seeds().items():
        for layer, mesh in scatter.strew(strewn[group], variants).items():
            stones = layer.startswith("pebbles")
            write_ply(meshes / f"{layer}.ply", mesh, uv=stones, crease=90 if stones else None)
    scatter.write(folder / "scatter.json", placed)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
