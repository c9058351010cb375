"""A review on this machine: the farm's server on the loopback, for one caller, as long as somebody looks."""

from __future__ import annotations

import os
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from pipeline.api.app import create_app
from pipeline.api.tokens import issue
from pipeline.errors import ConfigError
from pipeline.farm.client import Farm

__all__ = ["address", "serve"]

HOST: Final = "127.0.0.1"


def serve(farm: Farm, job: str, *, project: Path, port: int, browser: bool, tell: Callable[[str], None]) -> None:
    """Serves the review of a job until Ctrl-C.

    Args:
        farm: whose jobs are shown.
        job: that the page opens with.
        project: directory that holds `shots/`.
        port: to listen at; 0: one that is free.
        browser: open the page.
        tell: is called with the page's address, which has the token that opens it.

    Raises:
        ConfigError: the port is taken.
    """
    with _listening(port) as listener, tempfile.TemporaryDirectory(prefix="penumbra-review-") as folder:
        tokens = Path(folder, "tokens.json")
        token = issue(tokens, "review", "write")
        app = create_app(farm, tokens=tokens, project=project)
        page = address(listener.getsockname()[1], job, token)
        tell(page)
        if browser:
            webbrowser.open(page)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


def address(port: int, job: str, token: str) -> str:
    """Where the page of a job is. What stands behind # is not sent, nor in anybody's log."""
    return f"http://{HOST}:{port}/review/#job={job}&token={token}"


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen at port {port}: {os.strerror(error.errno or 0)}", path="--port"
            ) from error
        yield listener
