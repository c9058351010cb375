"""Frames under the names of `output` templates: a link on local stores, never over a file of other content."""

from pipeline.farm import delivery
from pipeline.farm.job import Job
from pipeline.farm.store import open_store

TEMPLATE = "{show}/{shot}/v{version:03}/{shot}.{frame:04}.exr"


def job(**config):
    return Job(
        id="a_010.v002",
        shot="a_010",
        version=2,
        hash="0",
        config=config,
        frames=(7,),
        scenes={},
        environment={"key": "k"},
        created="",
    )


def test_a_frame_is_delivered_under_its_templates_name_and_takes_no_room(tmp_path):
    store = open_store(str(tmp_path))
    store.create("a_010/v002/frames/a_010.0007.exr", b"picture")
    wanted = job(show="dragon", output={"frames": TEMPLATE})
    name = delivery.deliver(store, wanted, "exr", 7, "a_010/v002/frames/a_010.0007.exr", b"picture")
    assert name == "dragon/a_010/v002/a_010.0007.exr"
    assert store.read(name) == b"picture"
    assert (tmp_path / name).samefile(tmp_path / "a_010/v002/frames/a_010.0007.exr")


def test_a_file_of_other_content_is_moved_aside(tmp_path):
    store = open_store(str(tmp_path))
    store.create("dragon/a_010/v002/a_010.0007.exr", b"before a retry")
    store.create("a_010/v002/frames/a_010.0007.exr", b"picture")
    wanted = job(show="dragon", output={"frames": TEMPLATE})
    name = delivery.deliver(store, wanted, "exr", 7, "a_010/v002/frames/a_010.0007.exr", b"picture")
    assert store.read(name) == b"picture" and store.list("damaged")


def test_without_a_template_nothing_is_delivered(tmp_path):
    store = open_store(str(tmp_path))
    assert delivery.deliver(store, job(), "png", 7, "a_010/v002/review/a.png", b"picture") is None
