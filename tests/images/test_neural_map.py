"""The format of neural maps: exact decoding, blending, round trips, and damage."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AssetError
from pipeline.images import neural_map
from pipeline.images.neural_map import COORDINATE, PHASES, UNIT, Layer, NeuralMap
from pipeline.images.neural_map_export import export


def random_map(*, height: int = 40, width: int = 56, tile: int = 16, margin: int = 2, **settings) -> NeuralMap:
    """A map with random integers for weights."""
    rng = np.random.default_rng(0)
    tiles = -(-height // tile) * -(-width // tile)
    sizes, layers = [2, 9, 9, 3], []
    for inputs, outputs in pairwise(sizes):
        weights = rng.integers(-32767, 32768, (tiles, inputs, outputs)).astype(np.int16)
        biases = rng.integers(-(2**30), 2**30, (tiles, outputs)).astype(np.int32)
        layers.append(Layer(weights, biases, 16))
    fields = {"coding": "display", "wraps": False, "peaks": np.zeros(0, np.int64)} | settings
    fields |= {"peak_codes": np.zeros((len(fields["peaks"]), 3), np.uint16)}
    return NeuralMap(height=height, width=width, channels=3, tile=tile, margin=margin, layers=tuple(layers), **fields)


def test_decoding_is_integer_arithmetic():
    """One tile without margins, against Python's integers."""
    stored = random_map(height=8, width=8, tile=8, margin=0)
    codes = neural_map.decode(stored)
    sines = np.rint(UNIT * np.sin(2 * np.pi * np.arange(PHASES) / PHASES)).astype(int)
    for row, column in ((0, 0), (3, 6), (7, 7)):
        x, unit = [COORDINATE * (2 * i + 1 - 8) // 8 for i in (column, row)], COORDINATE
        for layer in stored.layers[:-1]:
            weights, biases = layer.weights[0].astype(int).tolist(), layer.biases[0].tolist()
            sums = [sum(x[i] * weights[i][o] for i in range(len(x))) + b * unit for o, b in enumerate(biases)]
            x, unit = [int(sines[(s * PHASES // (unit << layer.shift)) % PHASES]) for s in sums], UNIT
        last = stored.layers[-1]
        weights, biases = last.weights[0].astype(int).tolist(), last.biases[0].tolist()
        for o, b in enumerate(biases):
            value = (sum(x[i] * weights[i][o] for i in range(len(x))) + b * unit) / (unit << last.shift)
            assert codes[row, column, o] == min(max(int((value + 1) * 32767.5 + 0.5 // 1), 0), 65535)


def test_decoding_gives_the_same_bits_with_one_thread_and_with_many(tmp_path):
    path = tmp_path / "m.neural"
    neural_map.save(path, random_map(height=100, width=100, tile=64, margin=4))
    code = (
        "import sys, hashlib; from pathlib import Path; from pipeline.images import neural_map as n;"
        "print(hashlib.sha256(n.decode(n.read(Path(sys.argv[1]))).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OPENBLAS_CORETYPE": core},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads, core in (("1", "Haswell"), ("2", "Prescott"))
    }
    assert len(digests) == 1


def test_a_file_gives_the_map_back_and_equal_maps_give_equal_bytes(tmp_path):
    stored = random_map(provenance={"source": "oak.png"})
    one, two = tmp_path / "a.neural", tmp_path / "b.neural"
    assert neural_map.save(one, stored) == one.stat().st_size
    neural_map.save(two, stored)
    assert one.read_bytes() == two.read_bytes() and len(list(tmp_path.iterdir())) == 2
    again = neural_map.read(one)
    assert again.provenance == {"source": "oak.png"}
    np.testing.assert_array_equal(neural_map.decode(again), neural_map.decode(stored))


def flat_tiles(values: list[int], **settings) -> NeuralMap:
    """Tiles side by side, each of one code."""
    bias = np.rint((2 * np.array(values) / 65535 - 1) * 2**24).astype(np.int32)[:, None]
    layer = Layer(np.zeros((len(values), 2, 1), np.int16), bias, 24)
    fields = {"coding": "display", "peaks": np.zeros(0, np.int64), "peak_codes": np.zeros((0, 1), np.uint16)} | settings
    return NeuralMap(height=8, width=8 * len(values), channels=1, tile=8, margin=2, layers=(layer,), **fields)


def test_neighbours_are_blended_over_their_margins_and_alone_elsewhere():
    row = neural_map.decode(flat_tiles([0, 60000], wraps=False))[4, :, 0].astype(int)
    assert row[:6].tolist() == [0] * 6 and row[10:].tolist() == [60000] * 6
    assert (np.diff(row[5:11]) > 0).all() and row[7] + row[8] == pytest.approx(60000, abs=2)


def test_an_environment_is_blended_around_its_seam():
    row = neural_map.decode(flat_tiles([0, 60000], wraps=True))[4, :, 0].astype(int)
    assert 0 < row[0] < row[15] < 60000
    assert row[0] + row[15] == pytest.approx(60000, abs=2)
    assert neural_map.decode(flat_tiles([1234], wraps=True)).max() == 1234  # narrower than a tile with its margins


def test_peaks_are_exact():
    stored = flat_tiles([0, 0], wraps=False, peaks=np.array([17], np.int64), peak_codes=np.array([[777]], np.uint16))
    codes = neural_map.decode(stored)
    assert codes[1, 1, 0] == 777 and np.count_nonzero(codes) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 400},
        {"channels": 4},
        {"coding": "jpeg"},
        {"margin": -1},
        {"peaks": np.array([10**6], np.int64), "peak_codes": np.zeros((1, 3), np.uint16)},
        {"layers": ()},
        {"layers": (Layer(np.zeros((12, 2, 3), np.float32), np.zeros((12, 3), np.int32), 3),)},
    ],
    ids=["tiles", "channels", "coding", "margin", "peaks", "layers", "types"],
)
def test_a_map_that_contradicts_itself_is_refused(wrong, tmp_path):
    path = tmp_path / "m.neural"
    neural_map.save(path, replace(random_map(), **wrong))
    with pytest.raises(AssetError, match="damaged"):
        neural_map.read(path)


def test_what_is_no_neural_map_is_refused(tmp_path):
    path = tmp_path / "m.neural"
    with pytest.raises(AssetError, match="missing file"):
        neural_map.read(path)
    neural_map.save(path, random_map())
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(AssetError, match="not a neural map"):
            neural_map.read(path)


def test_the_export_is_the_decoded_map(tmp_path):
    from PIL import Image

    stored = flat_tiles([257 * 10, 257 * 200], wraps=False)
    export(tmp_path / "m.png", stored, neural_map.decode(stored))
    pixels = np.asarray(Image.open(tmp_path / "m.png"))
    assert pixels[0, 0] == 10 and pixels[0, 15] == 200
    with pytest.raises(AssetError, match=r"becomes a \.png"):
        export(Path("m.exr"), stored, neural_map.decode(stored))
