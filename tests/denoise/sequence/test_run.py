"""Sequences in, sequences out: what is kept, what is replaced, how much is held in memory, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from pipeline.denoise.backends import Denoised
from pipeline.denoise.frame import Frame, Window, frame_of
from pipeline.denoise.passthrough import Passthrough
from pipeline.denoise.sequence.plan import Plan, prepare
from pipeline.denoise.sequence.read import FrameWindow, contents, digest
from pipeline.denoise.sequence.run import Done, run
from pipeline.errors import AssetError, ConfigError, StoreError

Channels = dict[str, np.ndarray]
Colour = Callable[..., Channels]
Write = Callable[..., Path]


class Halved:
    """Gives half of the beauty, after a look at every frame of its window."""

    name = "halved"
    radius = 1

    def denoise(self, window: Window, centre: int, lambda_: Any) -> Denoised:
        assert all(frame is not None for frame in window.values())
        frame = frame_of(window, centre)
        return Denoised.unsplit(frame.beauty / 2, np.ones(frame.shape, np.float32))


def never(line: str) -> None:
    raise AssertionError(line)


def denoised(plan: Plan, denoiser: Any = None, warn: Callable[[str], None] = never) -> list[Done]:
    return list(run(plan, denoiser or Halved(), warn=warn))


def half(channels: Channels) -> Channels:
    return {name: values.astype(np.float16) for name, values in channels.items()}


@pytest.mark.parametrize(
    "compression", [OpenEXR.NO_COMPRESSION, OpenEXR.ZIP_COMPRESSION, OpenEXR.PIZ_COMPRESSION, OpenEXR.RLE_COMPRESSION]
)
def test_unknown_channels_and_attributes_are_kept_bit_for_bit(
    write: Write, channels_of: Any, colour: Colour, layers: Channels, tmp_path: Path, compression: Any
) -> None:
    rng = np.random.default_rng(1)
    shape = layers["beauty"].shape[:2]
    crypto = rng.integers(0, 2**32, shape, np.uint32).view(np.float32)  # hashes: any bits at all, NaN among them
    crypto[0, 0] = np.array([0x7FC01234], np.uint32).view(np.float32)[0]
    kept = {"crypto00.R": crypto, "objectId": rng.integers(0, 2**32, shape, np.uint32)}
    kept["odd layer.x"] = rng.random(shape).astype(np.float16)
    source = write(
        "a.7.exr", {**half(colour("", layers["beauty"])), **kept}, compression=compression, owner="someone", shutter=0.5
    )

    denoised(prepare([str(source)], tmp_path / "out", warn=never))

    found = channels_of(tmp_path / "out" / "a.7.exr")
    header = OpenEXR.File(str(tmp_path / "out" / "a.7.exr")).parts[0].header
    for name, values in kept.items():
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == values.tobytes()
    for i, axis in enumerate("RGB"):
        assert found[axis].dtype == np.float16
        assert np.array_equal(found[axis], (layers["beauty"][..., i] / 2).astype(np.float16))
        assert np.array_equal(found[f"noisy.{axis}"], layers["beauty"][..., i].astype(np.float16))
    assert header["compression"] == compression
    assert (header["owner"], header["shutter"]) == ("someone", 0.5)


def test_parts_stay_parts_and_channels_go_by_the_name_of_theirs(
    colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
    named = {"rgba": layers["beauty"], "albedo": layers["albedo"], "N": layers["normal"], "glow": layers["extra"]}
    parts = [
        OpenEXR.Part(dict(header), colour("", values, "XYZ" if name == "N" else "RGB"), name)
        for name, values in named.items()
    ]
    (tmp_path / "in").mkdir()
    OpenEXR.File(parts).write(str(tmp_path / "in" / "a.exr"))

    plan = prepare([str(tmp_path / "in")], tmp_path / "out", warn=never)
    denoised(plan)

    assert plan.source == "features"
    before = OpenEXR.File(str(tmp_path / "in" / "a.exr"), separate_channels=True).parts
    after = OpenEXR.File(str(tmp_path / "out" / "a.exr"), separate_channels=True).parts
    assert [part.name() for part in after] == list(named)
    assert set(after[0].channels) == {"R", "G", "B", "noisy.R", "noisy.G", "noisy.B"}
    for one, other in zip(before[1:], after[1:], strict=True):
        assert {n: c.pixels.tobytes() for n, c in one.channels.items()} == {
            n: c.pixels.tobytes() for n, c in other.channels.items()
        }


def test_tiles_and_windows_that_are_not_the_whole_picture_are_kept(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 8
    inside = (np.array([4, 2], np.int32), np.array([19, 13], np.int32))
    whole = (np.array([0, 0], np.int32), np.array([31, 23], np.int32))
    source = write(
        "a.exr", colour("", layers["beauty"]), type=OpenEXR.tiledimage, tiles=tiles, dataWindow=inside,
        displayWindow=whole,
    )  # fmt: skip

    denoised(prepare([str(source)], tmp_path / "out", warn=never))

    (part,) = OpenEXR.File(str(tmp_path / "out" / "a.exr"), separate_channels=True).parts
    assert part.header["type"] == OpenEXR.tiledimage
    assert part.header["tiles"].xSize == 8
    assert np.array_equal(part.header["dataWindow"], inside)
    assert np.array_equal(part.header["displayWindow"], whole)
    assert np.allclose(part.channels["R"].pixels, layers["beauty"][..., 0] / 2)


def test_neighbours_are_by_number_and_gaps_are_told(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    for number in (1, 2, 5, 6):
        write(f"a.{number}.exr", colour("", layers["beauty"]))
    told: list[str] = []

    done = denoised(prepare([str(tmp_path / "in")], tmp_path / "out", warn=never), warn=told.append)

    assert [(result.frame, result.window) for result in done] == [(1, [1, 2]), (2, [1, 2]), (5, [5, 6]), (6, [5, 6])]
    assert told == ["frames 3-4 are missing; their neighbours are denoised without them"]


def test_a_window_holds_no_frame_that_it_left_and_loads_each_once() -> None:
    loads: list[int] = []
    frame = Frame({"beauty": np.zeros((2, 2, 3), np.float32)})

    def load(number: int) -> Frame:
        loads.append(number)
        return frame

    window = FrameWindow(list(range(10)), 1, load, str)
    for centre in range(10):
        window.centre_on(centre)
        assert all(found is frame for found in window.values())
        assert len(window._loaded) <= 3

    assert loads == list(range(10))
    assert window.get(4) is None
    assert list(window) == [8, 9]


def test_nothing_is_loaded_that_is_not_asked_for(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    for number in (1, 2):
        write(f"a.{number}.exr", colour("", layers["beauty"]))
    told: list[str] = []

    denoised(prepare([str(tmp_path / "in")], tmp_path / "out", warn=never), Passthrough(), warn=told.append)

    assert told == []


def test_values_that_are_not_finite_are_mended_and_counted(
    write: Write, channels_of: Any, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    beauty, vector = layers["beauty"].copy(), layers["vector"].copy()
    beauty[3, 4] = np.nan
    vector[0, :2] = np.nan
    source = write("a.1.exr", colour("V.Combined.", beauty) | colour("V.Vector.", vector, "XYZW"))
    told: list[str] = []

    (done,) = denoised(prepare([str(source)], tmp_path / "out", warn=never), warn=told.append)

    assert told == [
        "a.1.exr: values that were not finite or negative were mended: 4 in backward, 3 in beauty, 4 in forward"
    ]
    assert done.mended == {"backward": 4, "beauty": 3, "forward": 4}
    assert np.isfinite(channels_of(tmp_path / "out" / "a.1.exr")["V.Combined.R"]).all()


def test_what_half_cannot_hold_is_clamped(
    write: Write, channels_of: Any, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    source = write("a.exr", half(colour("", np.full_like(layers["beauty"], 60000.0))))

    class Doubled(Halved):
        def denoise(self, window: Window, centre: int, lambda_: Any) -> Denoised:
            frame = frame_of(window, centre)
            return Denoised.unsplit(frame.beauty * 2, np.ones(frame.shape, np.float32))

    denoised(prepare([str(source)], tmp_path / "out", warn=never), Doubled())

    assert (channels_of(tmp_path / "out" / "a.exr")["G"] == 65504.0).all()


def pair(write: Write, colour: Colour, first: Channels, second: Channels) -> None:
    write("a.1.exr", first)
    write("a.2.exr", second)


def refused(tmp_path: Path, message: str, error: type[Exception] = AssetError, **given: Any) -> None:
    """Says it in one line, before anything is written."""
    with pytest.raises(error, match=message) as caught:
        denoised(prepare([str(tmp_path / "in")], tmp_path / "out", warn=never, **given))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_frames_of_two_sizes_are_refused(write: Write, colour: Colour, layers: Channels, tmp_path: Path) -> None:
    pair(write, colour, colour("", layers["beauty"]), colour("", layers["beauty"][:, 1:]))

    refused(tmp_path, r"a\.2\.exr: its size is 15×12, a\.1\.exr has 16×12")


def test_a_layer_that_some_frames_lack_is_named(write: Write, colour: Colour, layers: Channels, tmp_path: Path) -> None:
    albedo = colour("albedo.", layers["albedo"])
    pair(write, colour, colour("", layers["beauty"]) | albedo, colour("", layers["beauty"]))

    refused(tmp_path, r"a\.2\.exr: lacks albedo, which other frames have")


def test_a_file_without_colour_is_refused(write: Write, colour: Colour, layers: Channels, tmp_path: Path) -> None:
    write("a.1.exr", colour("N.", layers["normal"], "XYZ"))

    refused(tmp_path, r"a\.1\.exr: has no colour: mapping plain looks for")


def test_what_is_not_an_exr_is_refused(write: Write, colour: Colour, layers: Channels, tmp_path: Path) -> None:
    write("a.1.exr", colour("", layers["beauty"]))
    (tmp_path / "in" / "a.2.exr").write_bytes(b"not an image")

    refused(tmp_path, r"a\.2\.exr: not a readable EXR")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_file_stops_the_run_and_leaves_only_whole_files(
    write: Write, channels_of: Any, colour: Colour, tmp_path: Path, share: float
) -> None:
    noise = np.random.default_rng(0).random((200, 200, 3)).astype(np.float32)
    pair(write, colour, colour("", noise), colour("", noise))
    damaged = tmp_path / "in" / "a.2.exr"
    data = damaged.read_bytes()
    damaged.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(AssetError, match=r"a\.2\.exr: damaged: ") as caught:
        denoised(prepare([str(tmp_path / "in")], tmp_path / "out", warn=never), Passthrough())

    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.1.exr"]
    assert np.array_equal(channels_of(tmp_path / "out" / "a.1.exr")["R"], noise[..., 0])


def test_channels_without_a_value_for_every_pixel_are_refused(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    channels: dict[str, Any] = dict(colour("", layers["beauty"]))
    channels["B"] = OpenEXR.Channel("B", channels["B"], 2, 2)
    write("a.exr", channels)

    refused(tmp_path, r"a\.exr: channel B does not have a value for every pixel")


def test_deep_pictures_are_refused(write: Write, tmp_path: Path) -> None:
    samples = np.empty((4, 4), dtype=object)
    for index in np.ndindex(4, 4):
        samples[index] = np.ones(2, np.float32)
    write("a.exr", {axis: samples for axis in "RGB"}, type=OpenEXR.deepscanline, compression=OpenEXR.ZIPS_COMPRESSION)

    refused(tmp_path, r"a\.exr: channel B is deep")


@pytest.mark.parametrize("lambda_", [0.5, 11.0, float("nan")])
def test_lambda_out_of_range_is_refused(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path, lambda_: float
) -> None:
    write("a.exr", colour("", layers["beauty"]))

    refused(tmp_path, "--lambda: must be 1 … 10, not", ConfigError, lambda_=lambda_)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 5), 2.0, np.float32), r"map\.exr: the λ map is 5×4, the frames are 16×12"),
        (np.full((12, 16), 12.0, np.float32), r"map\.exr: λ must be 1 … 10; the map has 12 … 12"),
        (np.full((12, 16), np.nan, np.float32), "values that are not finite"),
    ],
)
def test_lambda_maps_of_another_size_or_out_of_range_are_refused(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path, values: np.ndarray, message: str
) -> None:
    write("a.exr", colour("", layers["beauty"]))
    OpenEXR.File({}, {"Y": values}).write(str(tmp_path / "map.exr"))

    refused(tmp_path, message, lambda_map=tmp_path / "map.exr")


def test_the_folder_of_the_input_is_refused_as_output(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    source = write("a.exr", colour("", layers["beauty"]))
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = source.read_bytes()

    for out in ("in", "link", "in/../in"):
        with pytest.raises(ConfigError, match="holds the frames to be denoised"):
            prepare([str(source)], tmp_path / out, warn=never)

    assert source.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(write: Write, colour: Colour, layers: Channels, tmp_path: Path) -> None:
    source = write("a.exr", colour("", layers["beauty"]))
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="file: is not a folder"):
        prepare([str(source)], tmp_path / "file", warn=never)
    with pytest.raises(StoreError, match="file/below: cannot be made"):
        denoised(prepare([str(source)], tmp_path / "file" / "below", warn=never))


def test_a_digest_tells_files_apart_and_what_is_read_of_them(
    write: Write, colour: Colour, layers: Channels, tmp_path: Path
) -> None:
    for number in (1, 2):
        write(f"a.{number}.exr", colour("", layers["beauty"]) | colour("albedo.", layers["albedo"]))
    plain, arnold = (
        prepare([str(tmp_path / "in")], tmp_path / "out", mapping=mapping, warn=never)
        for mapping in ("plain", "arnold")
    )
    (tmp_path / "own.yaml").write_text("read:\n  beauty: 'albedo.{R,G,B}'\n")
    own = prepare([str(tmp_path / "in")], tmp_path / "out", mapping=str(tmp_path / "own.yaml"), warn=never)

    def digests(plan: Plan) -> list[str]:
        return [digest(plan.frames[number], plan.layouts[number]) for number in plan.frames]

    assert digests(plain) == digests(arnold)  # the same channels by another name
    assert len({*digests(plain), *digests(own)}) == 4


def test_contents_are_known_without_pixels(write: Write, colour: Colour, layers: Channels) -> None:
    found = contents(write("a.exr", colour("", layers["beauty"])))

    assert list(found.places) == ["B", "G", "R"]
    assert found.parts == 1
    assert found.places["R"].window == (0, 0, 15, 11)
