"""The whole network: what holds whatever its weights are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.denoise.network import model as model_module
from pipeline.denoise.network.model import Images, KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.presets import PRESETS, Preset, preset
from pipeline.denoise.network.specialisation import log_lambda
from pipeline.denoise.network.weights_file import load, save_bytes
from pipeline.errors import ConfigError

SMALL_PAPER = Preset("paper", 7, 2, (8,), 2, 1, 1, "nearest")


@pytest.fixture(params=["tiny", "paper"])
def network(request: pytest.FixtureRequest) -> KernelPredictor:
    torch.manual_seed(0)
    return KernelPredictor(PRESETS["tiny"] if request.param == "tiny" else SMALL_PAPER).eval()


def run(network: KernelPredictor, colour: torch.Tensor, valid: torch.Tensor, lambda_: float = 1.0) -> torch.Tensor:
    """Denoises B×F×C×H×W with random inputs of each frame."""
    torch.manual_seed(1)
    frames = [torch.rand(1, 15, *colour.shape[-2:]) for _ in range(colour.shape[1])]
    features = [network.extract(x, "penumbra") for x in frames]
    masks = [
        [torch.nn.functional.adaptive_avg_pool2d(valid[:, f, None], level.shape[-2:]) for level in features[0]]
        for f in range(colour.shape[1])
    ]
    others = [Neighbour(features[f], masks[f], f) for f in range(1, colour.shape[1])]
    window = network.compare(features[0], others)
    images = image_pyramid(colour, valid, network.preset.scales)
    plane = log_lambda(lambda_).reshape(1, 1, 1, 1)
    one = torch.ones(1, 1, 1, 1)
    return network.reconstruct(window, images, [plane] * network.levels, one, visible=lambda image: image[:, :3])


@torch.no_grad()
def test_a_constant_image_stays_constant_up_to_its_corners(network: KernelPredictor) -> None:
    colour = torch.full((1, 3, 3, 22, 30), 0.7)

    torch.testing.assert_close(run(network, colour, torch.ones(1, 3, 22, 30)), colour[:, 0])


@torch.no_grad()
def test_images_that_are_carried_along_get_the_same_kernels_and_scales(network: KernelPredictor) -> None:
    colour = torch.rand(1, 2, 3, 16, 16)
    out = run(network, torch.cat([colour, 2 * colour], dim=2), torch.ones(1, 2, 16, 16))

    torch.testing.assert_close(out[:, 3:], 2 * out[:, :3])


@torch.no_grad()
def test_a_neighbour_that_is_valid_nowhere_shows_nothing(network: KernelPredictor) -> None:
    colour = torch.rand(1, 2, 3, 20, 20)
    valid = torch.ones(1, 2, 20, 20)
    valid[:, 1] = 0
    other = colour.clone()
    other[:, 1] += 100

    torch.testing.assert_close(run(network, colour, valid), run(network, other, valid))


@torch.no_grad()
def test_strips_give_what_the_whole_image_gives(network: KernelPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    colour, valid = torch.rand(1, 2, 3, 37, 26), torch.ones(1, 2, 37, 26)
    whole = run(network, colour, valid)
    monkeypatch.setattr(model_module, "STRIP", 150)

    torch.testing.assert_close(run(network, colour, valid), whole)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = KernelPredictor(PRESETS["tiny"])
    for block in network.specialisation:
        torch.nn.init.normal_(block.second.weight, std=0.1)
    run(network, torch.rand(1, 2, 3, 24, 24), torch.ones(1, 2, 24, 24), 3.0).square().mean().backward()

    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert not dead


def test_coarse_pixels_of_a_neighbour_average_what_is_valid() -> None:
    colour = torch.tensor([[1.0, 2.0], [3.0, 50.0]]).reshape(1, 1, 1, 2, 2).expand(1, 2, 1, 2, 2)
    valid = torch.ones(1, 2, 2, 2)
    valid[0, 1, 1, 1] = 0

    coarse: Images = image_pyramid(colour.contiguous(), valid, 2)[1]
    torch.testing.assert_close(coarse.colour.flatten(), torch.tensor([14.0, 2.0]))
    assert coarse.valid.flatten().tolist() == [1, 1]


# --- Weights ------------------------------------------------------------------------------------------------------


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = KernelPredictor(PRESETS["tiny"], ("penumbra", "colour"))
    file = tmp_path / "tiny.safetensors"
    file.write_bytes(save_bytes(network, half=False, stage="single"))
    back = load(file)

    assert list(back.encoders) == ["penumbra", "colour"] and back.preset == network.preset
    for name, value in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)
    assert not any(p.requires_grad for p in back.parameters())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"\x80\x04pickle", "cannot be read"),
        ({"format": "kernel-predictor-v0"}, "not weights of this version"),
        ({"format": "kernel-predictor-v1", "preset": "huge", "channels": "{}"}, "made for another network: huge"),
        ({"format": "kernel-predictor-v1", "preset": "tiny", "channels": '{"penumbra": 3}'}, "made for another"),
        ({"format": "kernel-predictor-v1", "preset": "tiny", "channels": '{"penumbra": 15}'}, "layers are missing"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes | dict[str, str], words: str) -> None:
    file = tmp_path / "w.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        save_file({"a": torch.zeros(1)}, str(file), content)

    with pytest.raises(ConfigError, match=words):
        load(file)


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.safetensors")


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown preset `huge`"):
        preset("huge")
