"""A farm as `deploy/README.md` sets one up on bare metal, on loopback: Redis under TLS and ACLs, the API under TLS,
Flower, two workers. Started once for all tests that ask for it; everything is ended by the fixture.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from redis import Redis

from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.client import Farm
from pipeline.farm.queues import connect
from pipeline.farm.store import open_store

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PATIENCE = 120.0
QUICK = '{"lease_seconds": 3, "heartbeat_seconds": 1, "sweep_seconds": 1, "control_seconds": 2, "retry_seconds": 0.1}'


def until(what: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """The first true value of `what()`; fails the test when there is none in time."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


def free_port() -> int:
    """A port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Deployed:
    """The farm.

    Attributes:
        etc: what is `/etc/penumbra` on a farm: authority, certificate, passwords, tokens.
        store: where jobs live.
        ports: of `redis`, `api`, `flower`.
        tokens: of the API, by role.
    """

    directory: Path
    etc: Path
    store: Path
    ports: dict[str, int]
    tokens: dict[str, str] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # --- starting and ending --------------------------------------------------------------------------------------

    def start(self, name: str, command: Sequence[str], role: str = "", **variables: str) -> None:
        """Starts a process of a role, which gets that role's variables."""
        with open(self.directory / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **(self.variables(role) if role else {}), **variables},
                start_new_session=True,
            )

    def stop(self, name: str, *, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends a process, and returns its exit code."""
        process = self._processes.pop(name)
        process.send_signal(how)
        code = process.wait(PATIENCE)
        _close(process.stdin)
        return code

    def close(self) -> None:
        """Kills what is left, with its children."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _close(process.stdin)

    def lives(self, name: str) -> bool:
        """Whether a process still runs."""
        return self._processes[name].poll() is None

    def said(self, name: str) -> str:
        """What a process has logged."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    # --- asking ---------------------------------------------------------------------------------------------------

    def variables(self, role: str) -> dict[str, str]:
        """The environment file of a role, as systemd and Compose read it."""
        lines = (self.etc / "env" / role).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def broker(self, role: str) -> str:
        """The broker's URL, with a role's password."""
        return self.variables(role)["PIPELINE_BROKER_URL"]

    def redis(self, role: str) -> Redis:
        """A client with a role's rights."""
        return connect(self.broker(role))

    def farm(self) -> Farm:
        """The farm as `pipeline` sees it."""
        return Farm.connect(open_store(str(self.store)), FarmConfig(broker_url=self.broker("control")))

    def http(self, service: str, **options: Any) -> httpx.Client:
        """A client of the API or of Flower, which knows the authority."""
        scheme = "http" if service == "flower" else "https"
        trusted = ssl.create_default_context(cafile=str(self.etc / "tls" / "ca.crt"))
        url = f"{scheme}://localhost:{self.ports[service]}"
        return httpx.Client(base_url=url, verify=trusted, timeout=30.0, trust_env=False, **options)

    def api(self, role: str = "read") -> httpx.Client:
        """A client of the API with a token."""
        return self.http("api", headers={"Authorization": f"Bearer {self.tokens[role]}"})

    @property
    def flower_login(self) -> tuple[str, str]:
        name, _, password = (self.etc / "flower.logins").read_text().strip().partition(":")
        return name, password


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.HTTPError:
        return False


def _pings(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except Exception:
        return False


@contextlib.contextmanager
def deploy(directory: Path) -> Iterator[Deployed]:
    """The farm of the module's docstring, in a directory of its own."""
    missing = [tool for tool in ("redis-server", "openssl", "bash") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    ports = {name: free_port() for name in ("redis", "api", "flower")}
    made = Deployed(directory, directory / "etc", directory / "store", ports)
    try:
        _deploy(made)
        yield made
    finally:
        made.close()


def _deploy(farm: Deployed) -> None:
    etc, bin_ = farm.etc, Path(sys.executable).parent
    subprocess.run(
        [DEPLOY / "credentials.sh", etc, "localhost"],
        env={**os.environ, "PENUMBRA_ETC": str(etc), "PENUMBRA_REDIS_PORT": str(farm.ports["redis"])},
        check=True,
        capture_output=True,
    )
    tokens = ["--tokens", str(etc / "api" / "tokens.json")]
    from pipeline.api.tokens import issue

    for role in ("read", "write"):
        farm.tokens[role] = issue(etc / "api" / "tokens.json", f"test-{role}", role)  # type: ignore[arg-type]
    data = farm.directory / "redis"
    data.mkdir()
    options = {
        "--tls-port": farm.ports["redis"],
        "--bind": "127.0.0.1",
        "--tls-cert-file": etc / "tls" / "head.crt",
        "--tls-key-file": etc / "tls" / "head.key",
        "--tls-ca-cert-file": etc / "tls" / "ca.crt",
        "--aclfile": etc / "redis" / "users.acl",
        "--dir": data,
        "--maxclients": 200,  # the limit of open files may be low here
    }
    command = [str(part) for pair in options.items() for part in pair]
    farm.start("redis", ["redis-server", str(DEPLOY / "redis" / "redis.conf"), *command])
    farm.store.mkdir()
    quiet = {"OMP_NUM_THREADS": "1"}
    worker = [sys.executable, "-m", "workers", "--engine=rehearsal", "--owned", f"--store={farm.store}"]
    for name in ("one", "two"):
        farm.start(name, [*worker, f"--name={name}", f"--settings={QUICK}"], "worker", **quiet)
    farm.start(
        "api",
        [
            str(bin_ / "pipeline"), "api", "serve", f"--port={farm.ports['api']}", *tokens, f"--out={farm.store}",
            f"--audit={farm.directory / 'audit.log'}", f"--certificate={etc / 'tls' / 'head.crt'}",
            f"--key={etc / 'tls' / 'head.key'}",
        ],
        "control",
        **quiet,
    )  # fmt: skip
    farm.start(
        "flower",
        [
            str(bin_ / "celery"), "--app=workers.monitor", "flower", f"--conf={DEPLOY / 'flower' / 'flowerconfig.py'}",
            "--address=127.0.0.1", f"--port={farm.ports['flower']}",
        ],
        "monitor",
        PIPELINE_FLOWER_LOGINS=str(etc / "flower.logins"),
        PIPELINE_FLOWER_STATE=tempfile.mkdtemp(dir=farm.directory),
        **quiet,
    )  # fmt: skip
    with farm.redis("operator") as redis:
        until(lambda: _pings(redis))
    with farm.http("api") as api, farm.http("flower") as flower:
        until(lambda: _answers(api, "/healthz") and _answers(flower, "/healthcheck"))
    service = farm.farm()
    until(lambda: {worker["name"] for worker in service.workers()} == {"one", "two"})
