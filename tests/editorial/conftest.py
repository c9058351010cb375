import opentimelineio as otio
import pytest


@pytest.fixture
def time_range():
    """Makes a range of frames."""

    def make(first, count, rate=24):
        return otio.opentime.TimeRange(otio.opentime.RationalTime(first, rate), otio.opentime.RationalTime(count, rate))

    return make


@pytest.fixture
def clip(time_range):
    """Makes a clip that names a shot."""

    def make(name, first=1001, count=8, shot="shot_010", rate=24, **more):
        mark = {"shot": shot, **more.pop("mark", {})}
        return otio.schema.Clip(name, source_range=time_range(first, count, rate), metadata={"penumbra": mark}, **more)

    return make


@pytest.fixture
def write(tmp_path):
    """Writes items as an edit of one track (or a whole timeline) and returns its path."""

    def make(*items, name="edit.otio"):
        if len(items) == 1 and isinstance(items[0], (otio.schema.Timeline, otio.schema.SerializableCollection)):
            contents = items[0]
        else:
            contents = otio.schema.Timeline("edit")
            contents.tracks.append(otio.schema.Track("V1", children=list(items)))
        path = tmp_path / name
        otio.adapters.write_to_file(contents, str(path))
        return path

    return make
