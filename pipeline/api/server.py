"""What all routes of the server share: the farm, one look at it, who may ask, and what is written down of it."""

# Annotations are values here, not texts: FastAPI reads those of functions that are made inside of functions.

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request
from fastapi import Path as InPath
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pipeline.api.audit import Audit
from pipeline.api.documents import Problem
from pipeline.api.events import Stream
from pipeline.api.tokens import Role, Token, Tokens
from pipeline.errors import ConfigError
from pipeline.farm.client import Farm
from pipeline.farm.job import Job
from pipeline.farm.lookup import find_job
from pipeline.farm.metrics import registry
from pipeline.farm.notify import Notifier
from pipeline.farm.watching import Watch

__all__ = ["PROBLEMS", "JobName", "Server", "address_of", "caller"]

SUBMISSIONS: Final = 2
"""Submissions that are checked at a time: each starts a process that loads scenes."""

JobName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,160}$", description="An id, or a shot.")]

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No token, or one that is not known."},
    403: {"model": Problem, "description": "The token's role does not allow it."},
    404: {"model": Problem, "description": "There is no such job."},
    422: {"model": Problem, "description": "The request is malformed, or a shot has problems."},
    503: {"model": Problem, "description": "The store or the broker does not answer."},
}


class Server:
    """What all routes share.

    Attributes:
        farm: that is served.
        watch: one look for metrics, streams and webhooks.
    """

    def __init__(
        self,
        farm: Farm,
        tokens: Path,
        audit: Path | None,
        project: Path,
        notifier: Notifier | None,
        look_seconds: float,
    ) -> None:
        self.farm, self.project = farm, project
        self.tokens, self.audit = Tokens(tokens), Audit(audit)
        self.watch = Watch(farm, every=look_seconds)
        self.registry = registry(self.watch)
        self.stream = Stream(self.watch, notifier)
        self.submissions = threading.BoundedSemaphore(SUBMISSIONS)

    def job(self, text: str) -> Job:
        """The job that a path names. Raises HTTPException: there is none."""
        try:
            return find_job(self.farm.store, text)
        except ConfigError as error:
            raise HTTPException(404, str(error)) from error


_bearer = HTTPBearer(auto_error=False, description="A token of `pipeline api token`.")


def caller(server: Server, role: Role) -> Callable[..., Token]:
    """A dependency that gives the caller's token, or refuses, with an audit line."""

    def check(
        request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None
    ) -> Token:
        token = server.tokens.check(shown.credentials) if shown is not None else None
        action = f"{request.method} {request.url.path}"
        if token is None:
            why = "no token" if shown is None else "unknown token"
            server.audit.note(action, who="", address=address_of(request), outcome=f"refused: {why}")
            raise HTTPException(401, f"{why}; a token goes into the header Authorization: Bearer …", _CHALLENGE)
        if not token.may(role):
            why = f"{token.name} may {token.role}, not {role}"
            server.audit.note(action, who=token.name, address=address_of(request), outcome=f"refused: {why}")
            raise HTTPException(403, why)
        return token

    return check


_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return "" if request.client is None else request.client.host
