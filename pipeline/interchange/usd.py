"""USD (`.usd`, `.usda`, `.usdc`, `.usdz`): meshes and simple solids, UsdPreviewSurface, cameras, UsdLux, at one time.

What is composed is taken: references, payloads, variants as the file selects them, instances. Y is up afterwards.

Source: Universal Scene Description, release 26.11, Pixar.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from pxr import Gf, Tf, Usd, UsdGeom, UsdLux

from pipeline.errors import SceneError
from pipeline.interchange import solids, usd_mesh
from pipeline.interchange.description import Camera, Description, Matrix, Mesh
from pipeline.interchange.solids import Triangles
from pipeline.interchange.usd_assets import Assets
from pipeline.interchange.usd_light import Lights
from pipeline.interchange.usd_material import Materials

__all__ = ["read_usd"]

_Z_UP: Final = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
_AXES: Final = {
    "Z": np.eye(4),
    "X": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]),
    "Y": np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]),
}
"""From along z to along an axis."""


def read_usd(path: Path, *, root: Path | None = None, frame: float | None = None) -> Description:
    """The scene of a stage.

    Args:
        path: of its root layer, or package.
        root: folder that all of its files lie in; None: the file's own.
        frame: time code of which everything is taken; None: the stage's first.

    Raises:
        SceneError: unreadable, composed of files that lie elsewhere, or with numbers that make no sense.
    """
    assets = Assets(root or path.parent)
    try:
        stage = Usd.Stage.Open(str(path))
        assets.require_inside(stage)
        return _Reader(stage, assets, frame).read()
    except Tf.ErrorException as error:
        raise SceneError(f"{path}: not a readable USD file: {' '.join(str(error).split()):.200}") from error
    except (ValueError, TypeError) as error:
        raise SceneError(f"{path}: not a valid USD scene: {error!s:.200}") from error


class _Reader:
    def __init__(self, stage: Usd.Stage, assets: Assets, frame: float | None) -> None:
        self.stage = stage
        self.found = Description()
        self.names: set[str] = set()
        first = (
            Usd.TimeCode(stage.GetStartTimeCode()) if stage.HasAuthoredTimeCodeRange() else Usd.TimeCode.EarliestTime()
        )
        self.time = first if frame is None else Usd.TimeCode(frame)
        self.placed = UsdGeom.XformCache(self.time)
        self.turned = _Z_UP if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z else np.eye(4)
        self.materials = Materials(self.found, self.names, assets, self.time)
        self.lights = Lights(self.found, self.names, self.materials, assets, self.time)

    def read(self) -> Description:
        for error in self.stage.GetCompositionErrors():
            self.found.note(f"not composed: {' '.join(str(error).split()):.200}")
        walk = iter(Usd.PrimRange(self.stage.GetPseudoRoot(), Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)))
        for prim in walk:
            if prim.IsPseudoRoot():
                continue
            if self._is_hidden(prim) or not self._add(prim):
                walk.PruneChildren()
        return self.found

    def _is_hidden(self, prim: Usd.Prim) -> bool:
        imageable = UsdGeom.Imageable(prim)
        if not imageable:
            return False
        if imageable.ComputeVisibility(self.time) == UsdGeom.Tokens.invisible:
            return True
        return imageable.ComputePurpose() in (UsdGeom.Tokens.guide, UsdGeom.Tokens.proxy)

    def _add(self, prim: Usd.Prim) -> bool:
        """Adds a prim; whether what is below it is to be looked at."""
        if prim.IsA(UsdGeom.Xformable) and UsdGeom.Xformable(prim).TransformMightBeTimeVarying():
            self.found.note("what moves is taken as it is at one time: animation is ignored")
        to_world = self.turned @ np.array(self.placed.GetLocalToWorldTransform(prim), np.float64).T
        if not np.isfinite(to_world).all():
            raise ValueError(f"{prim.GetPath()} is placed by numbers that are not finite")
        if prim.IsA(UsdGeom.Mesh):
            self._mesh(UsdGeom.Mesh(prim), to_world)
        elif prim.IsA(UsdGeom.Camera):
            self._camera(UsdGeom.Camera(prim), to_world)
        elif prim.HasAPI(UsdLux.LightAPI):
            self.lights.add(prim, to_world)
        elif prim.IsA(UsdGeom.PointInstancer):
            self.found.note(f"{prim.GetName()}: instances on points are left out")
            return False
        elif prim.IsA(UsdGeom.Gprim):
            self._solid(prim, to_world)
        return True

    def _mesh(self, mesh: UsdGeom.Mesh, to_world: Matrix) -> None:
        prim = mesh.GetPrim()
        name = prim.GetName()
        if prim.HasAPI(UsdLux.MeshLightAPI):
            self.found.note(f"{name}: light of a mesh is ignored; its material may glow")
        if mesh.GetPointsAttr().ValueMightBeTimeVarying() or "SkelBindingAPI" in prim.GetAppliedSchemas():
            self.found.note(f"{name}: it is taken as its points are at one time: how it bends is ignored")
        whole = usd_mesh.faces(mesh, self.time)
        smooth = mesh.GetSubdivisionSchemeAttr().Get(self.time) != UsdGeom.Tokens.none
        if smooth and len(whole.face):
            self.found.note(f"{name}: it is not subdivided; its cage has smooth normals")
        rest = np.ones(len(whole.face), bool)
        shown = usd_mesh.display_colour(prim, self.time)
        for subset, polygons in usd_mesh.subsets(mesh, self.time):
            mine = np.isin(whole.face, polygons) & rest
            rest &= ~mine
            self._part(whole, mine, f"{name}_{subset.GetName()}", self.materials.of(subset, shown), to_world, smooth)
        self._part(whole, rest, name, self.materials.of(prim, shown) if rest.any() else None, to_world, smooth)

    def _part(
        self,
        whole: usd_mesh.Faces,
        wanted: np.ndarray,
        name: str,
        material: str | None,
        to_world: Matrix,
        smooth: bool,
    ) -> None:
        if wanted.any():
            made = usd_mesh.part(whole, wanted, smooth=smooth)
            self.found.meshes.append(Mesh(self.found.named(name, self.names, "mesh"), *made, material, to_world))

    def _solid(self, prim: Usd.Prim, to_world: Matrix) -> None:
        name = self.found.named(prim.GetName(), self.names, "solid")
        shape = self._shape(prim)
        if shape is None:
            self.found.note(f"{name}: {prim.GetTypeName()} is left out")
            return
        (positions, faces), axis = shape
        material = self.materials.of(prim, usd_mesh.display_colour(prim, self.time))
        normals = None
        if prim.IsA(UsdGeom.Sphere):
            normals = positions / np.linalg.norm(positions, axis=1, keepdims=True)
        placed = to_world @ _AXES[axis]
        self.found.meshes.append(Mesh(name, positions, normals, None, faces, material, placed))

    def _shape(self, prim: Usd.Prim) -> tuple[Triangles, str] | None:
        """Triangles along z, and the axis that they are to lie along."""
        if prim.IsA(UsdGeom.Cube):
            return solids.cube(float(UsdGeom.Cube(prim).GetSizeAttr().Get(self.time))), "Z"
        if prim.IsA(UsdGeom.Sphere):
            return solids.sphere(float(UsdGeom.Sphere(prim).GetRadiusAttr().Get(self.time))), "Z"
        if prim.IsA(UsdGeom.Cylinder):
            solid = UsdGeom.Cylinder(prim)
            radius, height = solid.GetRadiusAttr().Get(self.time), solid.GetHeightAttr().Get(self.time)
            return solids.cylinder(float(radius), float(height), capped=True), str(solid.GetAxisAttr().Get(self.time))
        if prim.IsA(UsdGeom.Plane):
            plane = UsdGeom.Plane(prim)
            across, along = (float(each.Get(self.time)) for each in (plane.GetWidthAttr(), plane.GetLengthAttr()))
            axis = str(plane.GetAxisAttr().Get(self.time))
            positions, faces = solids.rectangle(*((across, along) if axis == "Z" else (along, across)))
            return (positions, faces[:, ::-1]), axis
        return None

    def _camera(self, camera: UsdGeom.Camera, to_world: Matrix) -> None:
        name = self.found.named(camera.GetPrim().GetName(), self.names, "camera")
        seen = camera.GetCamera(self.time)
        if seen.projection != Gf.Camera.Perspective:
            self.found.note(f"{name}: orthographic cameras are left out")
            return
        if seen.horizontalApertureOffset or seen.verticalApertureOffset:
            self.found.note(f"{name}: the shift of its film is ignored")
        if seen.fStop > 0:
            self.found.note(f"{name}: depth of field is ignored")
        near, far = float(seen.clippingRange.min), float(seen.clippingRange.max)
        fov, aspect = float(seen.GetFieldOfView(Gf.Camera.FOVVertical)), float(seen.aspectRatio)
        if not (0 < fov < 180 and 0 < aspect < 100 and near < far):
            raise ValueError(f"camera {name} has a field of view, an aspect or clipping that makes no sense")
        self.found.cameras.append(Camera(name, fov, aspect, max(near, far * 1e-7, 1e-6), far, to_world))
