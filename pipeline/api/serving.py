"""Running the server: uvicorn, with TLS where a certificate is given."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

__all__ = ["serve"]

AT_A_TIME: Final = 256
"""Connections; more are answered 503."""
GRACE_SECONDS: Final = 10


def serve(app: FastAPI, *, host: str, port: int, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C.

    Args:
        app: from `create_app`.
        host, port: to listen at.
        certificate, key: PEM files, for TLS.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
        server_header=False,
        access_log=False,  # the audit log says who asked for what
        limit_concurrency=AT_A_TIME,
        timeout_graceful_shutdown=GRACE_SECONDS,
        log_config=None,
    )
