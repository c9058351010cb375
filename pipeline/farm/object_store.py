"""Products in a bucket: any fsspec file system that creates an object only if it is absent, in one request.

    create       one PUT with `If-None-Match: *` (S3; GCS and Azure have the like), so that of many writers one wins
    quarantine   a copy to `damaged/<name>.<n>`, then a delete: a bucket has no rename
    list         a listing of keys; nobody asks for one while tasks are made

An answer that is lost is asked for again. A PUT that is repeated may meet its own object: then it has created it. A
server that ignores the condition would let two workers overwrite each other, so the first `create` of a process tries
it out, and refuses such a server.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from pipeline.farm.store import BLOBS, Bytes, Entry, Names, Store, StoreFault, check_name, is_name

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["ObjectStore", "open_object_store"]

log = logging.getLogger(__name__)

T = TypeVar("T")

PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs"}
"""Schemes whose file systems create objects conditionally, and the package of each."""
ALIASES: Final = {"s3a": "s3", "gcs": "gs", "az": "abfs"}

TRIES: Final = 5
FIRST_PAUSE: Final = 0.2
"""Seconds before the first repetition of a request; each further one waits twice as long."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,254}")
_FULL: Final = re.compile(r"quota|insufficient.?storage|no space|storage.?full", re.IGNORECASE)
_PASSING: Final = frozenset(
    {errno.EBUSY, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE}
    | {getattr(errno, "EREMOTEIO", errno.EIO)}
)
"""How file systems translate a server's "try again": 409, 500, 503, and cut connections."""
_LIBRARIES: Final = ("aiobotocore.", "aiohttp.", "azure.", "botocore.", "fsspec.", "gcsfs.", "google.", "s3fs.")
"""Modules whose errors are those of the store, though they are no `OSError`."""
_MODIFIED: Final = ("LastModified", "last_modified", "updated", "mtime", "created")
"""Under which key file systems tell the time of an object."""


def open_object_store(url: str) -> Store:
    """The store at a bucket's URL, `s3://bucket/renders`. Credentials come from the environment, never from the URL.

    Raises:
        StoreError: a scheme that cannot create conditionally, a malformed URL, or a package that is missing.
    """
    parts = urlsplit(url)
    scheme = ALIASES.get(parts.scheme, parts.scheme)
    if scheme not in PACKAGES:
        known = ", ".join(f"{name}://" for name in PACKAGES)
        raise StoreFault(
            f"stores of the kind {parts.scheme[:20]}:// cannot create a file only if it is absent, in one step;"
            f" give a directory, file:///path, or a bucket ({known})"
        )
    if "@" in parts.netloc:
        raise StoreFault("the URL of a store must not hold credentials; they belong into the environment")
    if parts.query or parts.fragment or _BUCKET.fullmatch(parts.netloc) is None:
        raise StoreFault(f"{url[:100]!r} is not the URL of a bucket; write {scheme}://bucket/prefix")
    prefix = parts.path.strip("/")
    if prefix and not is_name(prefix):
        raise StoreFault(f"{url[:100]!r} has a prefix that cannot be one: plain characters, no part hidden or '..'")
    try:
        filesystem = _file_system(scheme)
    except ImportError as error:
        raise StoreFault(f"{scheme}:// needs the package {PACKAGES[scheme]}: pip install {PACKAGES[scheme]}") from error
    return ObjectStore(f"{scheme}://{parts.netloc}" + (f"/{prefix}" if prefix else ""), filesystem)


def _file_system(scheme: str) -> AbstractFileSystem:
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "s3":
        # One request is one request: `ObjectStore` repeats it, and knows that it did.
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}}
    made = fsspec.filesystem(scheme, **options)
    if scheme == "s3":
        made.retries = 1
    return made


class ObjectStore:
    """A store in a bucket.

    Args:
        url: without a slash at its end.
        filesystem: fsspec's, of the bucket.
        pause: waits so many seconds before a request is repeated.
    """

    def __init__(
        self, url: str, filesystem: AbstractFileSystem, *, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._url, self._fs, self._pause = url, filesystem, pause
        self._root = str(filesystem._strip_protocol(url)).rstrip("/")
        self._proven = False

    def __repr__(self) -> str:
        return f"ObjectStore({self._url!r})"

    @property
    def url(self) -> str:
        return self._url

    def create(self, name: str, data: Bytes | Iterable[Bytes], *, durable: bool = True) -> bool:
        path = self._path(name)
        body = bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else b"".join(map(_plain, data))
        self._prove()
        return self._put(path, body)

    def read(self, name: str) -> bytes:
        return self._get(self._path(name), start=0)  # a range: else the file system asks for the size first

    def read_head(self, name: str, size: int) -> bytes:
        return self._get(self._path(name), start=0, end=size)

    def read_tail(self, name: str, size: int) -> bytes:
        return self._get(self._path(name), start=-size)

    def exists(self, name: str) -> bool:
        path = self._path(name)
        try:
            # A byte of it, and not the file system's own `exists`, which lists when nothing is there.
            self._again("read", path, lambda: self._fs.cat_file(path, start=0, end=1))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> Names:
        return sorted(entry.name for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        directory = self._directory(prefix)
        try:
            found: dict[str, dict[str, Any]] = self._again(
                "listed", directory, lambda: self._fs.find(directory, detail=True)
            )
        except FileNotFoundError:
            return
        skip = len(self._root) + 1
        for path, told in found.items():
            name = str(path).lstrip("/")[skip - self._root.startswith("/") :]
            if str(path).startswith(f"{directory}/") and is_name(name):
                yield Entry(name, int(told.get("size") or 0), _modified(told))

    def children(self, prefix: str) -> Names:
        directory = self._directory(prefix)
        try:
            found = self._again("listed", directory, lambda: self._fs.ls(directory, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = {str(path).rstrip("/").rpartition("/")[2] for path in found if str(path).rstrip("/") != directory}
        return sorted(name for name in names if is_name(name))

    def quarantine(self, name: str) -> None:
        source = self._path(name)
        number = 0
        while self.exists(f"damaged/{name}.{number}"):
            number += 1
        target = self._path(f"damaged/{name}.{number}")
        try:
            self._again("moved aside", source, lambda: self._fs.cp_file(source, target))
        except FileNotFoundError:
            return
        self.delete(name)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with contextlib.suppress(FileNotFoundError):
            self._again("removed", path, lambda: self._fs.rm_file(path))

    def path(self, name: str) -> Path | None:
        check_name(name)
        return None

    def sweep(self, prefix: str, *, older_than: float = 86400.0) -> int:
        """Nothing: an object is there whole or not at all. Parts of cut uploads are the bucket's to expire."""
        return 0

    # --- inside ---------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _directory(self, prefix: str) -> str:
        prefix = prefix.rstrip("/")
        return self._path(prefix) if prefix else self._root

    def _put(self, path: str, body: bytes) -> bool:
        requests = 0

        def put() -> None:
            nonlocal requests
            requests += 1
            self._fs.pipe_file(path, body, mode="create")

        try:
            self._again("written", path, put)
        except FileExistsError:
            return requests > 1 and self._get(path, start=0) == body
        except FileNotFoundError as error:
            raise StoreFault(f"{self._url} cannot be written: there is no such bucket", path=self._url) from error
        return True

    def _get(self, path: str, *, start: int, end: int | None = None) -> bytes:
        try:
            return bytes(self._again("read", path, lambda: self._fs.cat_file(path, start=start, end=end)))
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "no such product", path) from None

    def _prove(self) -> None:
        """Raises StoreFault if the server lets a second PUT overwrite the first."""
        if self._proven:
            return
        path = self._path(f"{BLOBS}/trial-{secrets.token_hex(8)}")
        self._put(path, b"first")
        try:
            overwritten = self._put(path, b"second")
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._again("removed", path, lambda: self._fs.rm_file(path))
        if overwritten:
            raise StoreFault(
                f"{self._url} overwrites objects that are there: its server ignores `If-None-Match: *`, without which"
                " two workers could exchange a product under a third; use one that honours it",
                path=self._url,
            )
        self._proven = True

    def _again(self, what: str, path: str, act: Callable[[], T]) -> T:
        """What `act` gives; repeated while the fault may pass.

        Raises:
            FileNotFoundError, FileExistsError: as `act` does.
            StoreFault: every other fault.
        """
        wait = FIRST_PAUSE
        for number in range(TRIES):
            try:
                return act()
            except Exception as error:
                if not _is_of_store(error):
                    raise
                status = _status(error)
                if isinstance(error, (FileNotFoundError, NotADirectoryError)) or status == 404:
                    raise FileNotFoundError(errno.ENOENT, "no such object", path) from error
                if isinstance(error, FileExistsError) or status == 412:
                    raise FileExistsError(errno.EEXIST, "there already", path) from error
                if status == 416:  # the first byte of an object that has none
                    return b""  # type: ignore[return-value]
                if number == TRIES - 1 or not _may_pass(error, status):
                    raise _fault(error, what, f"{self._url}/{path[len(self._root) + 1 :]}", status) from error
                log.info("%s: %s; once more in %.1f s", path, _first_line(error), wait)
            self._pause(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")


def _plain(chunk: Bytes) -> bytes:
    return chunk if isinstance(chunk, bytes) else bytes(chunk)


def _is_of_store(error: Exception) -> bool:
    return isinstance(error, OSError) or f"{type(error).__module__}.".startswith(_LIBRARIES)


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, as far as its library tells."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):  # botocore
            status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return status
        for name in ("status_code", "status", "code"):  # azure, aiohttp, gcsfs
            status = getattr(cause, name, None)
            if isinstance(status, (int, str)) and str(status).isdigit():
                return int(status)
        cause = cause.__cause__
    return None


def _may_pass(error: Exception, status: int | None) -> bool:
    if status is not None:
        return status in (408, 409, 429) or (status >= 500 and status not in (501, 507))
    if isinstance(error, OSError) and not isinstance(error, PermissionError):
        return error.errno is None or error.errno in _PASSING or isinstance(error, (TimeoutError, ConnectionError))
    return "Credential" not in type(error).__name__ and not isinstance(error, PermissionError)


def _fault(error: Exception, what: str, place: str, status: int | None) -> StoreFault:
    told = _first_line(error)
    full = status == 507 or _FULL.search(told) is not None
    if full:
        reason = f"the bucket is full; free some space, the job goes on from there ({told})"
    elif isinstance(error, PermissionError) or status in (401, 403) or "Credential" in type(error).__name__:
        reason = f"access is denied; look at the credentials of this machine ({told})"
    else:
        reason = told
    return StoreFault(f"{place} cannot be {what}: {reason}", path=place, full=full)


def _first_line(error: Exception) -> str:
    told = str(getattr(error, "strerror", None) or error)
    return (" ".join(told.split()) or type(error).__name__)[:200]


def _modified(told: dict[str, Any]) -> float:
    """Seconds since the epoch; now where a file system does not tell, so that nothing of it is taken to be old."""
    for key in _MODIFIED:
        value = told.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return time.time()
