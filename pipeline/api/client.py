"""The API's other end: what `pipeline --api URL` and scripts speak with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import httpx

from pipeline.errors import ConfigError, FarmError

__all__ = ["ApiClient", "ApiDown", "ApiError", "token_from"]

TIMEOUT_SECONDS: Final = 30.0
SUBMIT_SECONDS: Final = 600.0
"""A submission checks and freezes every scene before it answers."""


class ApiError(FarmError):
    """The API refuses a request; its message is the server's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.exit_code = 2 if 400 <= status < 500 else 1


class ApiDown(FarmError):
    """The API does not answer."""

    exit_code = 2


class ApiClient:
    """Speaks to a farm's API. To be used as a context.

    Args:
        url: of the server, `https://farm-head:8080`.
        token: of `pipeline api token`.
        transport: in place of the network, for tests.

    Raises:
        ConfigError: the URL is none, or holds credentials.
    """

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        parsed = _parsed(url)
        self.url = str(parsed).rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,  # a token is for the server that it was made for
            transport=transport,
        )

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def is_open_to_view(self) -> bool:
        """The token travels unencrypted to another machine."""
        return self._http.base_url.scheme == "http" and self._http.base_url.host not in (
            "localhost",
            "127.0.0.1",
            "::1",
        )

    # --- jobs -----------------------------------------------------------------------------------------------------

    def submit(self, sources: Sequence[str], overrides: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Submits shots of the server's project; a document for each."""
        body = {"sources": list(sources), "overrides": dict(overrides)}
        return self._ask("POST", "/v1/jobs", json=body, timeout=SUBMIT_SECONDS)  # type: ignore[no-any-return]

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of the store."""
        return self._ask("GET", "/v1/jobs")  # type: ignore[no-any-return]

    def job(self, name: str) -> dict[str, Any]:
        """A job, frame by frame."""
        return self._ask("GET", f"/v1/jobs/{_part(name)}")  # type: ignore[no-any-return]

    def logs(self, name: str, *, task: str = "", failed: bool = False, after: float = 0.0) -> list[dict[str, Any]]:
        """What tasks of a job said, of attempts that ended later than `after`."""
        asked = {"task": task, "failed": failed, "after": after}
        return self._ask("GET", f"/v1/jobs/{_part(name)}/logs", params=asked)  # type: ignore[no-any-return]

    def usage(self, name: str) -> dict[str, Any]:
        """What a job has used."""
        return self._ask("GET", f"/v1/jobs/{_part(name)}/usage")  # type: ignore[no-any-return]

    def control(self, name: str, action: str, **asked: Any) -> dict[str, Any]:
        """Asks something of a job: `pause`, `resume`, `cancel`, `retry`, `skip`, `approve`."""
        return self._ask("POST", f"/v1/jobs/{_part(name)}/{_part(action)}", params=asked)  # type: ignore[no-any-return]

    def priority(self, name: str, level: int) -> dict[str, Any]:
        """Changes a job's priority: 0 (last) to 9 (first)."""
        return self._ask("PUT", f"/v1/jobs/{_part(name)}/priority", params={"value": level})  # type: ignore[no-any-return]

    def adjust(self, name: str, terms: Mapping[str, Any]) -> dict[str, Any]:
        """Changes the terms of a job, by key of `Terms`."""
        return self._ask("PATCH", f"/v1/jobs/{_part(name)}/terms", json=dict(terms))  # type: ignore[no-any-return]

    def change(self, name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Another λ, target or cap: a new version in the job's place."""
        body = {"overrides": dict(overrides)}
        return self._ask("POST", f"/v1/jobs/{_part(name)}/change", json=body)  # type: ignore[no-any-return]

    def workers(self) -> list[dict[str, Any]]:
        """The workers, as `pipeline.farm.crew` tells of them."""
        return self._ask("GET", "/v1/workers")  # type: ignore[no-any-return]

    def order(self, worker: str, action: str, **asked: Any) -> dict[str, Any]:
        """Asks something of a worker: `drain`, `bar`, `allow`."""
        params = {key: value for key, value in asked.items() if value is not None}
        return self._ask("POST", f"/v1/workers/{_part(worker)}/{_part(action)}", params=params)  # type: ignore[no-any-return]

    def events(self, job: str | None = None) -> Iterator[dict[str, Any]]:
        """Jobs as they are now, then as they change. Ends when the server does."""
        try:
            params = {} if job is None else {"job": job}
            with self._http.stream("GET", "/v1/events", params=params, timeout=60.0) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _refusal(answer)
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line[6:])
        except httpx.HTTPError as error:
            raise ApiDown(f"{self.url} does not answer any more: {error or type(error).__name__}") from error

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiDown(f"{self.url} does not answer: {error or type(error).__name__}") from error
        if not answer.is_success:
            raise _refusal(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise ApiDown(f"{self.url} is not the API of a farm") from error


def token_from(variables: Mapping[str, str] = os.environ) -> str:
    """The token in `PIPELINE_API_TOKEN`, or in the file that `PIPELINE_API_TOKEN_FILE` names.

    Raises:
        ConfigError: there is none.
    """
    if token := variables.get("PIPELINE_API_TOKEN", "").strip():
        return token
    if file := variables.get("PIPELINE_API_TOKEN_FILE"):
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("the API's token cannot be read", path=file) from error
    raise ConfigError(
        "the API asks for a token", suggestion="set PIPELINE_API_TOKEN or PIPELINE_API_TOKEN_FILE; see `pipeline api`"
    )


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(f"'{url:.100}' is not a URL", path="--api") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"'{url:.100}' is not the URL of an API: https://host:8080", path="--api")
    if parsed.userinfo:
        raise ConfigError("the URL must not hold credentials; they go into PIPELINE_API_TOKEN", path="--api")
    return parsed


def _part(text: str) -> str:
    """One part of a path: what a user typed cannot lead elsewhere."""
    from urllib.parse import quote

    name = text.rstrip("/").rpartition("/")[2]
    if name in ("", ".", ".."):
        raise ConfigError(f"'{text:.80}' is not a name")
    return quote(name, safe="")


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        told = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        told = f"status {answer.status_code}"
    if isinstance(told, list):  # pydantic's findings
        told = "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg')}" for each in told)
    return ApiError(str(told), answer.status_code)
