"""The committed meshes and textures are what the scripts make, and stay small.

Compared with the last digits of floats and pixels left open: mathematical functions differ that much between
processors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

SHOTS = Path(__file__).resolve().parents[2] / "shots"
MADE = ("meshes", "textures", "scatter.json")


def assets(folder: Path) -> set[str]:
    files = (
        path for name in MADE for path in ([folder / name] if (folder / name).is_file() else folder.glob(f"{name}/*"))
    )
    return {path.relative_to(folder).as_posix() for path in files}


def ply(path: Path) -> tuple[bytes, np.ndarray, np.ndarray]:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    vertices = int(header.partition(b"element vertex ")[2].split()[0])
    columns = header.count(b"property float")
    size = 4 * vertices * columns
    faces = np.frombuffer(body[size:], dtype=[("n", "u1"), ("v", "<i4", 3)])
    return header, np.frombuffer(body[:size], "<f4").reshape(vertices, columns), faces["v"]


def exr(path: Path) -> np.ndarray:
    with OpenEXR.File(str(path)) as file:
        return np.asarray(file.channels()["RGB"].pixels, dtype=np.float32)


def test_the_scripts_make_the_files_that_are_committed_and_no_others(remade: tuple[Path, Path]) -> None:
    shot, folder = remade
    assert assets(folder) == assets(shot)


def test_meshes_are_what_the_script_makes(remade: tuple[Path, Path]) -> None:
    shot, folder = remade
    for path in sorted((shot / "meshes").glob("*.ply")):
        header, vertices, faces = ply(path)
        header_again, vertices_again, faces_again = ply(folder / "meshes" / path.name)
        assert header_again == header, path.name
        np.testing.assert_array_equal(faces_again, faces, err_msg=path.name)
        np.testing.assert_allclose(vertices_again, vertices, atol=1e-4, err_msg=path.name)


def test_textures_are_what_the_script_makes(remade: tuple[Path, Path]) -> None:
    shot, folder = remade
    for path in sorted((shot / "textures").iterdir()):
        again = folder / "textures" / path.name
        if path.suffix == ".exr":
            np.testing.assert_allclose(exr(again), exr(path), rtol=0.01, atol=1e-4, err_msg=path.name)
        else:
            old, new = (np.asarray(Image.open(image), dtype=int) for image in (path, again))
            assert new.shape == old.shape, path.name
            assert (new != old).mean() < 0.001, path.name


def test_scattered_things_stand_where_the_script_puts_them(remade: tuple[Path, Path]) -> None:
    shot, folder = remade
    for path in shot.glob("*.json"):
        assert (folder / path.name).read_text() == path.read_text()


def test_meshes_are_whole_and_face_somewhere(remade: tuple[Path, Path]) -> None:
    shot, _ = remade
    triangles = 0
    for path in sorted((shot / "meshes").glob("*.ply")):
        _, vertices, faces = ply(path)
        triangles += len(faces)
        assert np.isfinite(vertices).all(), path.name
        assert faces.min() == 0 and faces.max() == len(vertices) - 1, path.name
        corners = vertices[:, :3][faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
        assert (area > 0).mean() > 0.999, path.name
    assert triangles < 300_000


@pytest.mark.parametrize(("shot", "meshes_mb", "textures_mb"), [("shot_010", 4, 2), ("shot_020", 7, 1)])
def test_assets_are_small_enough_to_be_cloned_with_the_source(shot: str, meshes_mb: int, textures_mb: int) -> None:
    for folder, limit in (("meshes", meshes_mb), ("textures", textures_mb)):
        assert sum(path.stat().st_size for path in (SHOTS / shot / folder).iterdir()) < limit * 1e6
