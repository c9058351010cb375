"""Assets: maps come back as they were written, tiles meet, exports keep the colours, and one photograph becomes all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

from click.testing import CliRunner  # noqa: E402

from pipeline.capture.asset.exchange import metallic_roughness  # noqa: E402
from pipeline.capture.asset.files import read_maps, write_exr, write_maps  # noqa: E402
from pipeline.capture.asset.tile import seam, tiled  # noqa: E402
from pipeline.capture.flash import srgb, studio  # noqa: E402
from pipeline.capture.maps import Maps, encode  # noqa: E402
from pipeline.capture.materials.generate import material  # noqa: E402
from pipeline.errors import AssetError, ConfigError  # noqa: E402
from pipeline.scene.captured_asset import FORMAT, read  # noqa: E402


def photograph(path: Path, size: int = 64) -> Path:
    seen = srgb(studio(material(3, size)).pixels[0, 0]).permute(1, 2, 0).numpy()
    cv2.imwrite(str(path), (seen[..., ::-1] * 255 + 0.5).astype(np.uint8))
    return path


def capture(*words: str) -> tuple[int, str, Exception | None]:
    from pipeline.cli.capture import capture as command

    done = CliRunner().invoke(command, words, standalone_mode=False)
    return done.exit_code, done.output, done.exception


def test_maps_come_back_as_they_were_written(tmp_path):
    maps = material(5, 32)
    write_maps(tmp_path, maps)
    (tmp_path / "asset.yaml").write_text(f"format: {FORMAT}\n")
    again = read_maps(tmp_path)
    for name in ("diffuse", "specular", "normal", "roughness"):
        assert torch.allclose(getattr(again, name), getattr(maps, name), atol=1e-3)
    packed = cv2.imread(str(tmp_path / "normal.png"), cv2.IMREAD_UNCHANGED)
    assert packed.dtype == np.uint16
    up = packed[..., 1] / 65535 * 2 - 1  # B G R: the middle one is y
    assert np.allclose(up, maps.normal[0, 1].numpy(), atol=1e-3)


def test_assets_that_cannot_be_used_say_why(tmp_path):
    with pytest.raises(AssetError, match="missing asset"):
        read(tmp_path / "none")
    with pytest.raises(AssetError, match=r"no asset\.yaml"):
        read(tmp_path)
    write_maps(tmp_path, material(5, 16))
    (tmp_path / "asset.yaml").write_text("format: other\n")
    with pytest.raises(AssetError, match="this version reads"):
        read(tmp_path)
    (tmp_path / "asset.yaml").write_text(f"format: {FORMAT}\n")
    write_exr(tmp_path / "roughness.exr", np.full((8, 8, 1), 0.5, np.float32))
    with pytest.raises(AssetError, match=r"maps of different sizes: .*roughness\.exr 8×8"):
        read(tmp_path)
    (tmp_path / "roughness.exr").unlink()
    with pytest.raises(AssetError, match=r"missing map .*roughness\.exr"):
        read(tmp_path)


def test_tiles_meet_without_a_step():
    unknowns = encode(material(7, 96)).roll((30, 40), (-2, -1))[..., :70, :80]  # cut out: no longer periodic
    made = tiled(unknowns)
    assert made.unknowns.shape[-1] < 80 and made.unknowns.shape[-2] < 70
    assert seam(unknowns) > 1.5 * made.seam
    assert made.seam < 1.6


def test_a_pattern_goes_on_across_the_border():
    across = torch.arange(100) * (2 * torch.pi / 16)
    stripes = torch.sin(across).expand(1, 9, 40, 100).clone()
    made = tiled(stripes)
    assert made.unknowns.shape[-1] % 16 == 0
    assert made.seam < 1.3


def test_metal_and_dielectric_are_told_apart_and_keep_their_colours():
    def flat(*values: float) -> torch.Tensor:
        return torch.tensor(values).reshape(1, -1, 1, 1)

    one = flat(0.0, 0.0, 1.0)
    gold = Maps(flat(0.0, 0.0, 0.0), flat(1.0, 0.77, 0.34), one, flat(0.3))
    clay = Maps(flat(0.5, 0.2, 0.1), flat(0.04, 0.04, 0.04), one, flat(0.8))
    colour, metal = metallic_roughness(gold)
    assert metal.item() > 0.95 and torch.allclose(colour, gold.specular, atol=0.05)
    colour, metal = metallic_roughness(clay)
    assert metal.item() < 0.02 and torch.allclose(colour, clay.diffuse, atol=0.02)


def test_a_photograph_becomes_an_asset_with_all_its_files(tmp_path):
    photo = photograph(tmp_path / "oak.png")
    out = tmp_path / "assets" / "oak"
    words = ["--out", str(out), "--method", "descent", "--fov", "53", "--no-movie", "--tile", "--size", "0.3", "--json"]
    code, output, problem = capture(str(photo), *words)
    assert code == 0, problem
    record = json.loads(output[output.index("{") :])
    assert record["made_by"]["method"] == "descent" and record["fit"]["rmse"] < 0.05
    assert record["size_from"] == "given" and record["tileable"] and 0.2 < record["size"][0] < 0.3
    made = {str(path.relative_to(out)) for path in out.rglob("*")}
    assert made >= {
        f"{name}.{kind}" for name in ("albedo", "specular", "roughness", "normal") for kind in ("exr", "png")
    }
    assert made >= {"asset.yaml", "sheet.png", "material.usda", "principled.xml", "gltf/material.gltf"}
    gltf = json.loads((out / "gltf/material.gltf").read_text())
    assert all((out / "gltf" / image["uri"]).is_file() for image in gltf["images"])
    asset = read(out)
    assert [asset.width, asset.height] == record["texels"]

    from pipeline.cli.assets import assets

    listed = CliRunner().invoke(assets, ["list", str(tmp_path)], standalone_mode=False)
    assert listed.return_value == 0 and "oak" in listed.output and "tiles" in listed.output


def test_without_weights_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.capture.weights.directory", lambda: tmp_path / "none")
    photo = photograph(tmp_path / "oak.png")
    _, _, problem = capture(str(photo), "--out", str(tmp_path / "oak"))
    assert isinstance(problem, ConfigError)
    assert "no weights of preset small are installed (--method descent needs none" in str(problem)
    assert not (tmp_path / "oak").exists()


def test_of_a_folder_each_photograph_that_can_be_used_becomes_a_material(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for name in ("oak.jpg", "broken.jpg", "ash.png", "notes.txt"):
        (tmp_path / "photos" / name).write_bytes(b"")
    made = []

    def fake(order, *, say):
        if order.photographs[0].stem == "broken":
            raise AssetError("broken.jpg: not an image")
        made.append(order.out)
        return {"texels": [8, 8], "tileable": False, "fit": {"rmse": 0.0}, "made_by": {"method": "", "seconds": 0.0}}

    monkeypatch.setattr("pipeline.capture.run.capture", fake)
    from pipeline.cli.capture import capture as command

    words = [str(tmp_path / "photos"), "--each", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(command, words, standalone_mode=False)
    assert done.return_value == 2 and "broken.jpg: not an image" in done.output
    assert made == [tmp_path / "out" / "ash", tmp_path / "out" / "oak"]


def test_what_is_no_asset_is_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    _, _, problem = capture(str(photograph(tmp_path / "a.png")), "--out", str(tmp_path / "mine"), "--method", "descent")
    assert isinstance(problem, AssetError) and "is no captured material" in str(problem)


def test_an_asset_that_was_made_elsewhere_is_put_in_place_whole_and_nowhere_else(tmp_path):
    from pipeline.capture.asset.write import put_in_place

    put_in_place(tmp_path / "oak", {"asset.yaml": b"format: x\n", "gltf/material.gltf": b"{}"})
    put_in_place(tmp_path / "oak", {"asset.yaml": b"format: y\n"})
    assert [path.name for path in (tmp_path / "oak").iterdir()] == ["asset.yaml"]
    with pytest.raises(AssetError, match="outside"):
        put_in_place(tmp_path / "ash", {"asset.yaml": b"", "../../evil": b""})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["oak"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(AssetError, match="no captured material"):
        put_in_place(tmp_path / "notes", {"asset.yaml": b""})
