"""USD stages become shots that Mitsuba loads; what is not understood is said, and what is broken is refused."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli.import_ import import_scene
from pipeline.errors import ConfigError, SceneError
from pipeline.interchange.description import Description
from pipeline.interchange.mitsuba_xml import write_shot
from pipeline.interchange.reading import read_scene

pytest.importorskip("pxr")

from pxr import Gf, Sdf, Usd, UsdGeom, UsdLux, UsdShade, Vt


def stage(folder: Path, name: str = "scene.usda") -> Usd.Stage:
    return Usd.Stage.CreateNew(str(folder / name))


def read(made: Usd.Stage, **more: Any) -> Description:
    made.Save()
    return read_scene(Path(made.GetRootLayer().realPath), **more)


def quad(made: Usd.Stage, path: str = "/floor") -> UsdGeom.Mesh:
    """A square in the plane z = 0 that faces +z, with texture coordinates at its corners."""
    mesh = UsdGeom.Mesh.Define(made, path)
    mesh.CreatePointsAttr([(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0)])
    mesh.CreateFaceVertexCountsAttr([4])
    mesh.CreateFaceVertexIndicesAttr([0, 1, 2, 3])
    mesh.CreateSubdivisionSchemeAttr("none")
    uv = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, "faceVarying")
    uv.Set([(0, 0), (1, 0), (1, 1), (0, 1)])
    return mesh


def painted(made: Usd.Stage, path: str, **inputs: Any) -> tuple[UsdShade.Material, UsdShade.Shader]:
    material, shader = UsdShade.Material.Define(made, path), UsdShade.Shader.Define(made, f"{path}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    for name, value in inputs.items():
        kind = Sdf.ValueTypeNames.Color3f if isinstance(value, tuple) else Sdf.ValueTypeNames.Float
        shader.CreateInput(name, kind).Set(value)
    material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    return material, shader


def textured(made: Usd.Stage, shader: UsdShade.Shader, name: str, file: str, output: str) -> None:
    texture = UsdShade.Shader.Define(made, f"{shader.GetPath()}_{name}")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(file)
    kind = Sdf.ValueTypeNames.Float3 if output == "rgb" else Sdf.ValueTypeNames.Float
    texture.CreateOutput(output, kind)
    shader.CreateInput(name, kind).ConnectToSource(texture.ConnectableAPI(), output)


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_polygons_become_triangles_where_their_parents_put_them_with_y_up(tmp_path: Path) -> None:
    made = stage(tmp_path)
    UsdGeom.SetStageUpAxis(made, UsdGeom.Tokens.z)
    UsdGeom.Xform.Define(made, "/set").AddTranslateOp().Set((0, 0, 5))
    quad(made, "/set/floor")

    (mesh,) = read(made).meshes

    assert mesh.faces.shape == (2, 3) and len(mesh.positions) == 4
    assert np.allclose(mesh.to_world @ [0, 0, 1, 1], [0, 6, 0, 1])  # z, then the floor's height
    assert mesh.uv is not None
    corners = {tuple(xyz[:2] / 2): tuple(uv) for xyz, uv in zip(mesh.positions, mesh.uv, strict=True)}
    assert all(place == uv for place, uv in corners.items())


def test_subsets_wear_their_own_materials_and_holes_are_left_out(tmp_path: Path) -> None:
    made = stage(tmp_path)
    mesh = UsdGeom.Mesh.Define(made, "/strip")
    mesh.CreatePointsAttr([(x, y, 0) for x in range(4) for y in range(2)])
    mesh.CreateFaceVertexCountsAttr([4, 4, 4])
    mesh.CreateFaceVertexIndicesAttr([each for k in range(3) for each in (2 * k, 2 * k + 2, 2 * k + 3, 2 * k + 1)])
    mesh.CreateHoleIndicesAttr([2])
    red, _ = painted(made, "/red", diffuseColor=(1.0, 0.0, 0.0))
    blue, _ = painted(made, "/blue", diffuseColor=(0.0, 0.0, 1.0), metallic=0.5)
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(red)
    binding = UsdShade.MaterialBindingAPI(mesh.GetPrim())
    subset = binding.CreateMaterialBindSubset("some", Vt.IntArray([0]))
    UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(blue)

    found = read(made)

    worn = {each.name: each.material for each in found.meshes}
    assert worn == {"strip_some": "blue", "strip": "red"}
    assert [len(each.faces) for each in found.meshes] == [2, 2]
    assert {each.name: each.metallic for each in found.materials} == {"red": 0.0, "blue": 0.5}
    assert found.meshes[0].normals is not None and np.allclose(found.meshes[0].normals, [0, 0, 1])
    assert any("not subdivided" in note for note in found.notes)


def test_a_left_handed_face_looks_the_other_way(tmp_path: Path) -> None:
    made = stage(tmp_path)
    quad(made).CreateOrientationAttr("leftHanded")

    (mesh,) = read(made).meshes

    a, b, c = mesh.positions[mesh.faces[0]]
    assert np.cross(b - a, c - a)[2] < 0


def test_textures_come_along_and_what_a_material_has_beside_them_is_told(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "wood.png").write_bytes(png())
    made = stage(tmp_path)
    material, shader = painted(made, "/wood", clearcoat=0.5, emissiveColor=(0.0, 2.0, 0.0))
    textured(made, shader, "diffuseColor", "./maps/wood.png", "rgb")
    textured(made, shader, "roughness", "./maps/wood.png", "g")
    textured(made, shader, "metallic", "./maps/none.png", "r")
    UsdShade.MaterialBindingAPI.Apply(quad(made).GetPrim()).Bind(material)

    described = read(made)
    told = list(described.notes)
    files = write_shot(described, tmp_path / "shot")

    (found,) = described.materials
    assert found.texture is not None and found.texture.data == png() and found.emission == (0, 2, 0)
    assert told == [
        "wood: clearcoat is ignored",
        "wood: texture './maps/none.png' is not there, or lies outside of the folder",
    ]
    (grey,) = [each for each in files if each.name.endswith("_g.png")]
    assert np.asarray(Image.open(grey)).tolist() == [[20, 50]]


def test_cameras_are_taken_as_they_look(tmp_path: Path) -> None:
    made = stage(tmp_path)
    quad(made)
    camera = UsdGeom.Camera.Define(made, "/shotcam")
    there = Gf.Matrix4d().SetTranslate((1, 2, 3))
    camera.SetFromCamera(Gf.Camera(there, horizontalAperture=36, verticalAperture=24, focalLength=50))
    UsdGeom.Camera.Define(made, "/plan").CreateProjectionAttr("orthographic")

    found = read(made)

    (seen,) = found.cameras
    assert seen.vertical_fov == pytest.approx(math.degrees(2 * math.atan(12 / 50)), rel=1e-5)
    assert seen.aspect == pytest.approx(1.5) and seen.to_world[:3, 3].tolist() == [1, 2, 3]
    assert list(found.notes) == ["plan: orthographic cameras are left out"]


def test_lights_have_the_strength_that_usdlux_gives_them(tmp_path: Path) -> None:
    made = stage(tmp_path)
    quad(made)
    panel = UsdLux.RectLight.Define(made, "/panel")
    panel.CreateIntensityAttr(8.0)
    panel.CreateExposureAttr(-1.0)
    panel.CreateNormalizeAttr(True)
    panel.CreateWidthAttr(2.0)
    panel.AddScaleOp().Set((1, 3, 1))  # 2 wide, 3 high
    sun = UsdLux.DistantLight.Define(made, "/sun")
    sun.CreateIntensityAttr(1000.0)
    sun.CreateAngleAttr(2.0)
    bulb = UsdLux.SphereLight.Define(made, "/bulb")
    bulb.CreateRadiusAttr(0.1)
    bulb.CreateTreatAsPointAttr(True)
    bulb.CreateColorAttr((1, 0.5, 0))
    bulb.CreateIntensityAttr(100.0)
    spot = UsdLux.SphereLight.Define(made, "/spot")
    spot.CreateRadiusAttr(0.0)
    UsdLux.ShapingAPI.Apply(spot.GetPrim()).CreateShapingConeAngleAttr(30.0)
    UsdLux.DomeLight.Define(made, "/sky").CreateColorAttr((0, 0, 1))
    UsdLux.PortalLight.Define(made, "/window")

    found = read(made)

    lights = {light.name: light for light in found.lights}
    glow = {material.name: material.emission for material in found.materials}
    assert glow["panel_glow"] == pytest.approx((4 / 6,) * 3)
    assert next(mesh for mesh in found.meshes if mesh.name == "panel").material == "panel_glow"
    assert lights["sun"].intensity == pytest.approx(math.pi * math.sin(math.radians(1)) ** 2)
    assert lights["sun"].colour == (1000, 1000, 1000)
    assert lights["bulb"].intensity == pytest.approx(math.pi * 0.01)
    assert lights["bulb"].colour == pytest.approx((100, 50, 0))
    assert (lights["spot"].kind, lights["spot"].cutoff) == ("spot", 30)
    assert found.environment is not None and found.environment.colour == (0, 0, 1)
    assert list(found.notes) == ["window: PortalLight is left out"]


def test_what_is_hidden_or_a_guide_is_left_out_and_instances_are_taken(tmp_path: Path) -> None:
    tree = stage(tmp_path, "tree.usda")
    tree.SetDefaultPrim(UsdGeom.Xform.Define(tree, "/tree").GetPrim())
    UsdGeom.Cube.Define(tree, "/tree/trunk").CreateSizeAttr(2.0)
    tree.Save()
    made = stage(tmp_path)
    for k in range(2):
        copy = made.DefinePrim(f"/wood/tree{k}", "Xform")
        copy.GetReferences().AddReference("./tree.usda")
        copy.SetInstanceable(True)
        UsdGeom.Xformable(copy).AddTranslateOp().Set((k * 10, 0, 0))
    UsdGeom.Sphere.Define(made, "/off").MakeInvisible()
    UsdGeom.Sphere.Define(made, "/rig").CreatePurposeAttr("guide")
    UsdGeom.Cone.Define(made, "/hat")
    leaves = UsdGeom.PointInstancer.Define(made, "/leaves")
    UsdGeom.Sphere.Define(made, "/leaves/leaf")
    assert leaves

    found = read(made)

    assert [(mesh.name, mesh.to_world[0, 3]) for mesh in found.meshes] == [("trunk", 0), ("trunk_2", 10)]
    assert set(found.notes) == {"hat: Cone is left out", "leaves: instances on points are left out"}


def test_moving_things_are_taken_at_one_time(tmp_path: Path) -> None:
    made = stage(tmp_path)
    made.SetStartTimeCode(101)
    made.SetEndTimeCode(110)
    move = quad(made).AddTranslateOp()
    move.Set((1, 0, 0), 101)
    move.Set((10, 0, 0), 110)

    first, last = read(made), read(made, frame=110)

    assert [found.meshes[0].to_world[0, 3] for found in (first, last)] == [1, 10]
    assert any("animation is ignored" in note for note in first.notes)


def test_mitsuba_loads_what_is_written(tmp_path: Path) -> None:
    mi = pytest.importorskip("mitsuba")
    if mi.variant() is None:
        mi.set_variant("llvm_ad_rgb")
    made = stage(tmp_path)
    solids: dict[str, Any] = {
        "ball": UsdGeom.Sphere,
        "box": UsdGeom.Cube,
        "can": UsdGeom.Cylinder,
        "flat": UsdGeom.Plane,
    }
    for name, solid in solids.items():
        solid.Define(made, f"/{name}").CreateDisplayColorAttr([(0.5, 0.2, 0.1)])
    UsdLux.CylinderLight.Define(made, "/tube")
    UsdLux.DiskLight.Define(made, "/disc")
    write_shot(read(made), tmp_path / "shot")

    loaded = mi.load_file(str(tmp_path / "shot" / "scene.xml"), optimize=False)

    boxes = {shape.id(): shape.bbox() for shape in loaded.shapes()}
    assert set(boxes) == {*solids, "tube", "disc"}
    assert np.allclose(boxes["can"].max, [1, 1, 1], atol=1e-3) and np.allclose(boxes["box"].min, [-1, -1, -1])
    assert np.allclose(boxes["tube"].max, [0.5, 0.5, 0.5], atol=1e-3) and np.allclose(boxes["flat"].max, [1, 1, 0])


def test_layers_that_lie_elsewhere_are_refused_unless_their_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "shot").mkdir()
    asset = stage(tmp_path, "asset.usda")
    asset.SetDefaultPrim(quad(asset).GetPrim())
    asset.Save()
    made = stage(tmp_path / "shot")
    made.DefinePrim("/it").GetReferences().AddReference("../asset.usda")

    with pytest.raises(SceneError, match="--root"):
        read(made)

    assert len(read(made, root=tmp_path).meshes) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda mesh: mesh.GetFaceVertexIndicesAttr().Set([0, 1, 2, 9]),
        lambda mesh: mesh.GetFaceVertexCountsAttr().Set([5]),
        lambda mesh: mesh.GetPointsAttr().Set([(0, 0, 0), (1, 0, 0), (math.nan, 0, 0), (0, 1, 0)]),
        lambda mesh: UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Set([(0, 0)]),
    ],
)
def test_what_is_broken_is_refused(tmp_path: Path, change: Any) -> None:
    made = stage(tmp_path)
    change(quad(made))

    with pytest.raises(SceneError):
        read(made)


def test_what_is_no_usd_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.usda").write_text("#usda 1.0\n def {")
    with pytest.raises(SceneError, match="not a readable USD file"):
        read_scene(tmp_path / "bad.usda")
    with pytest.raises(ConfigError, match="neither glTF nor USD"):
        read_scene(tmp_path / "bad.blend")
    monkeypatch.setattr("pipeline.interchange.reading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="USD is not installed"):
        read_scene(tmp_path / "bad.usda")


def test_the_command_reports_as_it_does_for_gltf(tmp_path: Path) -> None:
    made = stage(tmp_path)
    quad(made)
    made.Save()
    scene, out = str(tmp_path / "scene.usda"), str(tmp_path / "floor")

    told = CliRunner().invoke(import_scene, [scene, "--out", out, "--json"])

    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert (document["meshes"], document["lights"]) == (1, 0)
    assert "the scene has no light: an even one is put around it" in document["notes"]
