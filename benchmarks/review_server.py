"""The server of `pipeline review` in this process, for whoever drives a browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from pipeline.api.app import create_app
from pipeline.api.tokens import issue
from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.client import Farm
from pipeline.farm.store import Store
from pipeline.review.serving import address

__all__ = ["served"]


@contextmanager
def served(store: Store, job: str, *, project: Path) -> Iterator[str]:
    """The address of a job's page, with a token that may do everything, as long as the context lasts.

    Args:
        store: where the job lives.
        job: that the page opens with.
        project: directory that holds `shots/`.
    """
    with TemporaryDirectory(prefix="penumbra-review-") as folder, socket.socket() as listener:
        tokens = Path(folder, "tokens.json")
        token = issue(tokens, "page", "write")
        app = create_app(Farm.offline(store, FarmConfig()), tokens=tokens, project=project)
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address(listener.getsockname()[1], job, token)
        finally:
            server.should_exit = True
            thread.join(10)
