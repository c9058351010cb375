from pathlib import Path

import pytest

from pipeline.config.farm import Farm, load_farm
from pipeline.errors import ConfigError


def refusal(profile=None, environ=None):
    with pytest.raises(ConfigError) as error:
        load_farm(profile, environ or {})
    return str(error.value)


def test_without_a_profile_the_farm_is_embedded():
    farm = load_farm(environ={})
    assert farm == Farm()
    assert (farm.broker_url, farm.store) == (None, "./renders")


def test_the_environment_stands_above_the_profile(tmp_path):
    profile = tmp_path / "farm.yaml"
    profile.write_text("broker_url: redis://a:1/0\nstore: /mnt/a\nlease_seconds: 40\n")
    farm = load_farm(environ={"PIPELINE_FARM": str(profile), "PIPELINE_BROKER_URL": "rediss://b:2/1"})
    assert (farm.broker_url, farm.store, farm.lease_seconds) == ("rediss://b:2/1", "/mnt/a", 40)
    assert load_farm(profile, {"PIPELINE_STORE": "s3://bucket/x"}).store == "s3://bucket/x"


def test_a_profile_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "farm").mkdir(parents=True)
    (tmp_path / "configs" / "farm" / "studio.yaml").write_text("store: /mnt/renders\n")
    assert load_farm("studio", {}).store == "/mnt/renders"
    assert refusal("studi").endswith("(did you mean studio?)")


def test_a_wrong_profile_is_told_with_its_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("farm.yaml").write_text("store: x\nlease_second: 3\nmax_raises: 0\nheartbeat_seconds: 20\n")
    assert refusal("farm.yaml").splitlines() == [
        "farm.yaml:2: lease_second: unknown key (did you mean lease_seconds?)",
        "farm.yaml:3: max_raises: must be at least 1, not 0",
        "farm.yaml:4: heartbeat_seconds: must be at most half of lease_seconds, which is 30, not 20",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host",
        "redis://",
        "redis://:secret@",
        "redis://:secret@host:x/0",
        "secret",
        "redis+socket://",
    ],
)
def test_a_wrong_broker_is_told_by_its_variable_and_without_its_password(url):
    told = refusal(environ={"PIPELINE_BROKER_URL": url})
    assert told.startswith("PIPELINE_BROKER_URL: broker_url: must be the URL of a Redis")
    assert "secret" not in told


@pytest.mark.parametrize("url", ["redis://host:6379/0", "rediss://user:pw@host/1", "redis+socket:///run/redis.sock"])
def test_redis_by_network_tls_and_socket_is_taken(url):
    farm = load_farm(environ={"PIPELINE_BROKER_URL": url})
    assert farm.broker_url == url
    assert url not in repr(farm)


def test_profiles_survive_json():
    farm = Farm(lease_seconds=60.0, heartbeat_seconds=20.0)
    assert Farm.model_validate(farm.model_dump(mode="json")) == farm


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs" / "farm").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_shipped_profiles_load(path):
    assert isinstance(load_farm(path, {}), Farm)
