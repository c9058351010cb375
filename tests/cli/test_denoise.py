"""`pipeline denoise`: sequences in, sequences out, and one line for each thing that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from pipeline.cli.main import run
from pipeline.images import deliverable
from pipeline.images.channels import LAYERS
from pipeline.images.deliverable import Deliverable
from pipeline.images.metrics import smape

HEIGHT, WIDTH = 48, 64
Frames = Callable[..., Path]


def wall() -> tuple[np.ndarray, np.ndarray]:
    """A lit chequered wall without noise, and its albedo."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    albedo = np.where((x // 8 + y // 8) % 2 == 0, 0.8, 0.2)[..., None] * np.array([1.0, 0.8, 0.6])
    light = 0.2 + 1.5 * np.exp(-((x - 20) ** 2 + (y - 24) ** 2) / 600)
    return (albedo * light[..., None]).astype(np.float32), albedo.astype(np.float32)


def noisy(truth: np.ndarray, seed: int) -> np.ndarray:
    grain = np.random.default_rng(seed).gamma(8.0, 1 / 8.0, (*truth.shape[:2], 1))
    return (truth * grain).astype(np.float32)


@pytest.fixture
def plain(tmp_path: Path) -> Frames:
    """Writes frames with beauty, albedo and normal into `in/`; gives the folder."""

    def made(*numbers: int, width: int = WIDTH) -> Path:
        truth, albedo = wall()
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        normal = np.broadcast_to(np.array([0.0, 0.0, 1.0], np.float32), truth.shape)
        for number in numbers:
            layers = {"": noisy(truth, number), "albedo.": albedo, "N.": normal}
            channels = {
                prefix + axis: np.ascontiguousarray(values[:, :width, i])
                for prefix, values in layers.items()
                for i, axis in enumerate("XYZ" if prefix == "N." else "RGB")
            }
            OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, channels).write(str(folder / f"a.{number}.exr"))
        return folder

    return made


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """A folder with two of our own deliverables, whose three components are equal."""
    truth, albedo = wall()
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (1001, 1002):
        layers = {layer.name: np.zeros((HEIGHT, WIDTH, len(layer.channels)), np.float32) for layer in LAYERS}
        layers["noisy"] = noisy(truth, number)
        layers["beauty"] = np.concatenate([truth, np.ones((HEIGHT, WIDTH, 1), np.float32)], axis=-1)
        layers |= {part: truth / 3 for part in ("diffuse", "specular", "emission")}
        layers |= {"albedo": albedo, "variance": truth[..., 1] ** 2 / 8, "samples": np.full((HEIGHT, WIDTH), 8.0)}
        layers["N"][..., 2] = 1.0
        frame = Deliverable(
            shot="shot_010", frame=number, fps=Fraction(24), job_hash="0f" * 16, samples_per_pixel=8.0, lambda_=1.0,
            layers=layers, world_to_camera=np.eye(4),
        )  # fmt: skip
        deliverable.write(folder / f"shot_010.{number}.exr", frame)
    return folder


def colour_of(path: Path) -> np.ndarray:
    channels = OpenEXR.File(str(path), separate_channels=True).parts[0].channels
    return np.stack([channels[axis].pixels for axis in "RGB"], axis=-1).astype(np.float32)


def test_oidn_brings_foreign_frames_closer_to_the_truth(
    plain: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyoidn")
    folder = plain(1, 2)

    assert run(["denoise", str(folder), "--out", str(tmp_path / "out"), "--backend", "oidn", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["backend"], told["mapping"], told["source"], told["warnings"]) == ("oidn", "plain", "features", [])
    assert [frame["frame"] for frame in told["frames"]] == [1, 2]
    truth, _ = wall()
    for frame in told["frames"]:
        assert smape(colour_of(Path(frame["output"])), truth) < 0.5 * smape(colour_of(Path(frame["input"])), truth)


def test_a_deliverable_stays_one_with_its_noisy_layer_its_camera_and_the_new_lambda(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyoidn")
    out = tmp_path / "again"

    assert run(["denoise", str(delivered), "--out", str(out), "--backend", "oidn", "--lambda", "2.5"]) == 0

    assert "warning: λ steers kpcn alone; oidn does not read it" in capsys.readouterr().err
    truth, _ = wall()
    for number in (1001, 1002):
        before = deliverable.read(delivered / f"shot_010.{number}.exr")
        after = deliverable.read(out / f"shot_010.{number}.exr")
        assert (after.shot, after.frame, after.fps, after.lambda_) == ("shot_010", number, Fraction(24), 2.5)
        assert np.array_equal(after.world_to_camera, before.world_to_camera)
        changed = {"beauty", "diffuse", "specular", "emission", "lambda"}
        for layer in LAYERS:
            same = np.array_equal(after.layers[layer.name], before.layers[layer.name])
            assert same == (layer.name not in changed), layer.name
        assert smape(after.beauty, truth) < 0.5 * smape(before.layers["noisy"], truth)
        total = sum(after.layers[part] for part in ("diffuse", "specular", "emission"))
        assert np.allclose(total, after.beauty, rtol=2e-3, atol=1e-5)
        assert (after.layers["lambda"] == 2.5).all()


def test_a_lambda_map_goes_into_the_deliverable(delivered: Path, tmp_path: Path) -> None:
    lambda_ = np.linspace(1.0, 10.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    OpenEXR.File({}, {"Y": lambda_}).write(str(tmp_path / "map.exr"))
    pattern = str(delivered / "shot_010.1002-1002#.exr")

    assert run(["denoise", pattern, "--out", str(tmp_path / "o"), "--backend", "none",
                "--lambda-map", str(tmp_path / "map.exr")]) == 0  # fmt: skip

    (only,) = (tmp_path / "o").iterdir()
    after = deliverable.read(only)
    assert np.array_equal(after.layers["lambda"], lambda_)
    assert after.lambda_ == pytest.approx(5.5)


def test_a_mapping_of_the_users_own_is_followed(
    plain: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = plain(1)
    (tmp_path / "own.yaml").write_text("read:\n  beauty: 'albedo.{R,G,B}'\n")

    assert run(["denoise", str(folder), "--out", str(tmp_path / "out"), "--backend", "none", "--json",
                "--mapping", str(tmp_path / "own.yaml")]) == 0  # fmt: skip

    assert json.loads(capsys.readouterr().out)["mapping"] == "own"
    channels = OpenEXR.File(str(tmp_path / "out" / "a.1.exr"), separate_channels=True).parts[0].channels
    assert "noisy.albedo.R" in channels


def test_a_window_for_a_denoiser_of_single_frames_is_said_to_change_nothing(
    plain: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = plain(1)

    assert run(["denoise", str(folder), "--out", str(tmp_path / "out"), "--backend", "none", "--window", "3"]) == 0

    assert "warning: none reads one frame at a time; --window changes nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lambda", "11"], "--lambda: must be 1 … 10, not 11"),
        (["--lambda", "nan"], "--lambda: must be 1 … 10, not nan"),
        (["--window", "4"], "--window: must be an odd number, 1 … 17, not 4"),
        (["--mapping", "arnld"], "--mapping: unknown mapping `arnld` (did you mean arnold?)"),
        (["--mapping", "absent.yaml"], "absent.yaml: cannot be read"),
        (["--mapping", "cycles"], "has no colour: mapping cycles"),
        (["--lambda-map", "absent.exr"], "absent.exr: cannot be read as a mask"),
        (["--lambda", "2", "--lambda-map", "m.exr"], "exclude each other"),
        (["--backend", "best"], "'best' is not one of"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    plain: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    folder = plain(1)

    code = run(["denoise", str(folder), "--out", str(tmp_path / "out"), "--backend", "none", *words])

    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert said.out == ""
    assert not (tmp_path / "out").exists()
    if "Usage" not in said.err:
        assert said.err.count("\n") == 1


def test_bad_frames_are_one_line_and_exit_code_2(
    plain: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*inputs: str, out: str = "out") -> str:
        assert run(["denoise", *inputs, "--out", str(tmp_path / out), "--backend", "none"]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
        return captured.err

    (tmp_path / "empty").mkdir()
    assert "no EXR frames are there" in said(str(tmp_path / "empty"))
    assert "no such file or folder" in said(str(tmp_path / "absent"))
    folder = plain(1, 2)
    assert "holds the frames to be denoised" in said(str(folder), out="in")
    plain(3, width=WIDTH - 1)
    assert "a.3.exr: its size is 63×48, a.1.exr has 64×48" in said(str(folder))
    (folder / "a.3.exr").write_bytes(b"\x76\x2f\x31\x01 and then nothing")
    assert "a.3.exr: not a readable EXR" in said(str(folder))
