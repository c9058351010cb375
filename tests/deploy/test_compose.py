"""`compose.yaml` is what Compose takes, its files are there, and nothing in it runs as root or is left open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
MADE = ("secrets", "state")  # by credentials.sh, and by whoever sets the farm up
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def values() -> dict[str, str]:
    lines = (DEPLOY / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as Compose sees it: variables put in, fields that are its own (`x-…`) left out."""
    known = values()

    def put_in(match: re.Match[str]) -> str:
        assert match[1] in known or match[2] is not None, f"{match[1]} has no value"
        return known.get(match[1], match[2] or "")

    text = VARIABLE.sub(put_in, (DEPLOY / "compose.yaml").read_text())
    loaded = YAML(typ="safe").load(text)
    return {key: value for key, value in loaded.items() if not key.startswith("x-")}


def test_the_file_is_what_the_compose_specification_asks_for(compose: dict[str, Any]) -> None:
    """The schema is that of Docker's own Compose 1.29.2 (Apache 2.0), the last one that was published as a package.
    The file's name is younger than it."""
    schema = json.loads((Path(__file__).parent / "compose_spec.json").read_text())

    jsonschema.Draft7Validator(schema).validate({key: value for key, value in compose.items() if key != "name"})


def test_each_profile_is_whole(compose: dict[str, Any]) -> None:
    services = compose["services"]
    of = lambda profile: {name for name, each in services.items() if profile in each["profiles"]}  # noqa: E731

    assert of("core") == {"redis", "api", "worker"} and values()["COMPOSE_PROFILES"] == "core"
    assert of("gpu") == {"worker-gpu"} and of("node") == {"node"} and of("node-gpu") == {"node-gpu"}
    assert of("monitoring") == {"flower", "prometheus", "grafana"}
    for name, service in services.items():
        needed = set(service.get("depends_on", ()))
        assert all(needed <= of(profile) for profile in service["profiles"]), name


def test_a_laptop_without_a_gpu_gets_no_gpu(compose: dict[str, Any]) -> None:
    reserving = {name for name, each in compose["services"].items() if "deploy" in each}

    assert reserving == {"worker-gpu", "node-gpu"}
    (device,) = compose["services"]["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"] and "count" not in device


def test_nothing_runs_as_root_or_unpinned_or_with_rights_that_it_does_not_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"] == "1000:1000" and service["cap_drop"] == ["ALL"] and service["read_only"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert re.fullmatch(r"penumbra:(cpu|cuda)|docker\.io/.+:v?\d+\.\d+\.\d+\S*", service["image"]), name


def test_ports_are_open_to_this_machine_alone_by_default(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]

    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_every_mounted_file_is_in_the_tree_or_made_by_the_set_up(compose: dict[str, Any]) -> None:
    made = (DEPLOY / "credentials.sh").read_text()
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./") and not source.startswith(tuple(f"./{each}/" for each in MADE)):
                assert (DEPLOY / source).exists(), source
            elif source.startswith("./secrets/") and not source.endswith(".token"):
                assert Path(source).name in made, source


def test_who_has_a_role_gets_its_password_alone(compose: dict[str, Any]) -> None:
    roles = {name: each.get("env_file") for name, each in compose["services"].items()}

    assert roles["api"] == ["secrets/env/control"] and roles["flower"] == ["secrets/env/monitor"]
    assert roles["worker"] == roles["node"] == roles["worker-gpu"] == ["secrets/env/worker"]
    mounted = [volume for each in compose["services"].values() for volume in each["volumes"]]
    assert not any(volume.startswith("./secrets:") or "/env" in volume for volume in mounted)


def test_workers_have_time_to_end_a_task(compose: dict[str, Any]) -> None:
    assert {compose["services"][name]["stop_grace_period"] for name in ("worker", "node", "worker-gpu")} == {"15m"}


def test_the_images_are_built_without_root_from_pinned_packages() -> None:
    text = (DEPLOY / "containers" / "Containerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    by_name = {stage.split("\n", 1)[0].split(" AS ")[1]: stage for stage in stages}

    for target in ("cpu", "cuda"):
        assert by_name[target].rstrip().endswith("USER 10001:10001")
        assert f"-r {target}.lock" in by_name[f"build-{target}"] and "--require-hashes" in by_name[f"build-{target}"]
    for name in re.findall(r"^COPY ([\w./-]+) ", text, flags=re.MULTILINE):
        assert (DEPLOY.parent / name).exists(), name


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_locks_hold_what_the_project_asks_for_with_hashes(kind: str) -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("oidn", "farm", "learn", "storage")]
    wanted = [Requirement(text) for text in [*project["dependencies"], *(each for extra in extras for each in extra)]]
    lock = (DEPLOY / "containers" / f"{kind}.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock, flags=re.MULTILINE))

    for requirement in wanted:
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if (kind, name) != ("cpu", "torch"):  # its own line of the Containerfile pins it
            assert requirement.specifier.contains(locked[name]), requirement
    assert lock.count("--hash=sha256:") >= len(locked) > 50
    torch = next(each for each in wanted if each.name == "torch")
    assert str(torch) in (DEPLOY / "containers" / "Containerfile").read_text()
