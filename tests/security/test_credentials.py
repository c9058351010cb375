"""Who has no credentials, or wrong ones, is refused at each door of a farm, and it is written down."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError
from redis.retry import Retry

from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.client import BrokerDown, Farm
from pipeline.farm.store import open_store
from tests.deployment import DEPLOY, ROOT

# --- Redis --------------------------------------------------------------------------------------------------------


def plain(deployed: Any, **options: Any) -> Redis:
    tls = {"ssl": True, "ssl_cert_reqs": "required", "ssl_ca_certs": str(deployed.etc / "tls" / "ca.crt")}
    once = Retry(NoBackoff(), 0)
    return Redis(host="localhost", port=deployed.ports["redis"], socket_timeout=10, retry=once, **{**tls, **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"username": "worker", "password": "wrong"},
        {"username": "nobody", "password": "wrong"},
        {"password": ""},
        {"username": "default", "password": "default"},
    ],
)
def test_redis_refuses_who_has_no_password_or_a_wrong_one(deployed: Any, options: dict[str, str]) -> None:
    with plain(deployed, **options) as client, pytest.raises((AuthenticationError, ResponseError)) as refused:
        client.execute_command("KEYS", "*")

    assert re.search(r"already authenticated|[Aa]uthentication required|invalid username-password", str(refused.value))
    with deployed.redis("operator") as redis:
        if options.get("password"):
            assert any(each["reason"] == "auth" for each in redis.acl_log())
        redis.acl_log_reset()


def test_redis_speaks_to_nobody_without_tls(deployed: Any) -> None:
    with plain(deployed, ssl=False) as client, pytest.raises(ConnectionError):
        client.ping()


def test_a_server_of_another_authority_gets_no_password(deployed: Any, tmp_path: Any) -> None:
    subprocess.run([DEPLOY / "credentials.sh", tmp_path, "localhost"], check=True, capture_output=True)
    url = deployed.broker("worker").replace(str(deployed.etc), str(tmp_path))

    with pytest.raises(BrokerDown, match="certificate") as raised:
        Farm.connect(open_store(str(deployed.store)), FarmConfig(broker_url=url))
    assert deployed.broker("worker").split(":")[2].split("@")[0] not in str(raised.value)


def test_a_worker_with_a_wrong_password_says_so_and_does_nothing(deployed: Any) -> None:
    url = deployed.broker("worker").replace("worker:", "worker:wrong")
    command = [sys.executable, "-m", "workers", "--engine=rehearsal", "--name=stranger", f"--store={deployed.store}"]

    ran = subprocess.Popen(
        [*command, "--owned"],
        env={**os.environ, "PIPELINE_BROKER_URL": url},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    try:
        assert ran.stdout is not None
        for line in ran.stdout:
            said += line
            if "invalid username-password pair" in line:
                break
    finally:
        ran.kill()
        ran.communicate()

    assert "invalid username-password pair" in said and url.split(":")[2].split("@")[0] not in said
    assert {worker["name"] for worker in deployed.farm().workers()} == {"one", "two"}


# --- the API ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer pen_wrong"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic d3JhbmdsZXI6d3Jvbmc="}, 401),
    ],
)
def test_the_api_refuses_who_has_no_token(deployed: Any, headers: dict[str, str], status: int) -> None:
    with deployed.http("api", headers=headers) as api:
        for path in ("/v1/jobs", "/metrics", "/v1/events", "/v1/scaling"):
            assert api.get(path).status_code == status
        assert api.post("/v1/jobs", json={"sources": ["shot_a"]}).status_code == status

    lines = [json.loads(line) for line in (deployed.directory / "audit.log").read_text().splitlines()]
    assert lines[-1]["action"] == "POST /v1/jobs" and lines[-1]["outcome"].startswith("refused: ")


def test_a_token_to_read_changes_nothing(deployed: Any) -> None:
    with deployed.api("read") as api:
        assert api.post("/v1/workers/one/drain").status_code == 403
        assert api.post("/v1/jobs", json={"sources": ["shot_a"]}).status_code == 403

    assert deployed.lives("one")


def test_the_api_speaks_to_nobody_without_tls(deployed: Any) -> None:
    import httpx

    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{deployed.ports['api']}/healthz", timeout=10)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://localhost:{deployed.ports['api']}/healthz", verify=ssl.create_default_context(), timeout=10)


# --- Flower -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, ("wrangler", "wrong"), ("nobody", ""), ("", "")])
def test_flower_refuses_who_has_no_login(deployed: Any, login: tuple[str, str] | None) -> None:
    with deployed.http("flower", auth=login) as flower:
        for path in ("/workers", "/tasks", "/api/workers", "/api/tasks"):
            assert flower.get(path).status_code == 401, path
        assert flower.post("/api/worker/shutdown/one").status_code == 401


def test_flower_changes_nothing_even_for_who_has_a_login(deployed: Any) -> None:
    with deployed.http("flower", auth=deployed.flower_login) as flower:
        workers = list(flower.get("/api/workers").json())
        for worker in workers or ["one@host"]:
            assert flower.post(f"/api/worker/shutdown/{worker}").status_code in (403, 404, 405)
        assert flower.post("/api/task/async-apply/penumbra.light", json={"args": []}).status_code in (403, 404, 405)

    assert deployed.lives("one") and deployed.lives("two")


def test_flower_does_not_start_without_logins(tmp_path: Any) -> None:
    config = (DEPLOY / "flower" / "flowerconfig.py").read_text()
    for file, text in (("none", None), ("empty", ""), ("nameless", ":secret"), ("open", "wrangler:")):
        if text is not None:
            (tmp_path / file).write_text(text)
        ran = subprocess.run(
            [sys.executable, "-c", config],
            env={**os.environ, "PIPELINE_FLOWER_LOGINS": str(tmp_path / file)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1 and ran.stderr.startswith("flower: "), file
