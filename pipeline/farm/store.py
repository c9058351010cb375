"""Where products live: files that are created once and never changed.

`LocalStore` serves a directory, on a local disk or on a network file system with hard links. A file comes to be in one
step (temporary file beside it, fsync, link, fsync of the directory): it is there with all of its bytes, or not at all,
also after a crash and with many writers. `pipeline.farm.object_store` does the same with buckets. Names are relative
POSIX paths of plain characters.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from pipeline.errors import StoreError

__all__ = ["BLOBS", "Entry", "LocalStore", "Store", "StoreFault", "check_name", "is_name", "open_store"]

BLOBS: Final = "blobs"
"""Content-addressed files of all jobs, `blobs/<sha256>.<ext>`: see `pipeline.scene.blobs`."""

_DAMAGED: Final = "damaged"
_TEMPORARY: Final = ".tmp-"
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_+=@-][A-Za-z0-9_.+=@-]{0,199}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_CURES: Final = {
    errno.ENOSPC: "the disk is full; free some space, the job goes on from there",
    errno.EDQUOT: "your disk quota is used up; free some space, the job goes on from there",
    errno.EROFS: "it is on a read-only file system; mount it writable, or choose another place with --out",
    errno.EACCES: "permission is denied; make the directory writable, or choose another place with --out",
    errno.EPERM: "permission is denied, or the file system has no hard links; choose another place with --out",
    errno.ENOTSUP: "the file system has no hard links; choose another place with --out",
    errno.ENOTDIR: "a part of the path is a file; move it away, or choose another place with --out",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.ESTALE: "the network file system has lost it; mount it again",
    errno.EIO: "the disk reports an error; look at its health",
}

Bytes = bytes | bytearray | memoryview
Names = list[str]


class StoreFault(StoreError):
    """The store cannot be read or written.

    Attributes:
        path: that could not be.
        full: the reason is a lack of space: nobody's task is at fault, and work can go on when there is some.
    """

    def __init__(self, message: str, *, path: Path | str | None = None, full: bool = False) -> None:
        super().__init__(message)
        self.path, self.full = path, full


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a listing tells of it.

    Attributes:
        name: in the store.
        size: bytes.
        modified: seconds since the epoch, by the clock of who keeps it.
    """

    name: str
    size: int
    modified: float


class Store(Protocol):
    """Files by name, created if absent. All methods raise `StoreError` when it fails, or at a bad name."""

    @property
    def url(self) -> str:
        """What `open_store` takes."""

    def create(self, name: str, data: Bytes | Iterable[Bytes], *, durable: bool = True) -> bool:
        """Create a file with these bytes in one step; False if it is there already, which changes nothing.

        What is not `durable` survives the death of every process, but not that of the machine: for notes and logs.
        """

    def read(self, name: str) -> bytes:
        """All bytes. Raises FileNotFoundError."""

    def read_head(self, name: str, size: int) -> bytes:
        """The first bytes, as many as there are up to `size`. Raises FileNotFoundError."""

    def read_tail(self, name: str, size: int) -> bytes:
        """The last bytes, as many as there are up to `size`. Raises FileNotFoundError."""

    def exists(self, name: str) -> bool:
        """Whether the file is there."""

    def list(self, prefix: str) -> Names:
        """Names of all files below a directory ("" for the whole store), in order. Foreign files are left out."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """What `list` names, with sizes and times, in any order; for clean-up."""

    def children(self, prefix: str) -> Names:
        """Last parts of the names of the files and directories directly in a directory, in order."""

    def quarantine(self, name: str) -> None:
        """Move a file to `damaged/<name>.<n>`, so that it can be made anew; nothing if it is not there."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there. Only planned clean-up does so."""

    def path(self, name: str) -> Path | None:
        """The local file of a name, whether it is there or not; None where the store is not local."""

    def sweep(self, prefix: str, *, older_than: float = 86400.0) -> int:
        """Remove what writers that died left below a directory, if older than so many seconds; returns how many."""


@lru_cache(maxsize=1 << 16)
def check_name(name: str) -> str:
    """`name`, if it may be one: relative, of plain characters, no part of it hidden or "..".

    Raises:
        StoreError: it may not.
    """
    if not is_name(name):
        raise StoreFault(f"{name[:100]!r} cannot be the name of a file in the store")
    return name


def is_name(name: str) -> bool:
    """Whether this may be the name of a file: see `check_name`."""
    return len(name) <= 1000 and all(_SEGMENT.fullmatch(part) for part in name.split("/"))


class LocalStore:
    """A store in a directory. The directory is made with the first file."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()
        self._root = str(self.root)

    def __repr__(self) -> str:
        return f"LocalStore({self._root!r})"

    @property
    def url(self) -> str:
        return self._root

    def create(self, name: str, data: Bytes | Iterable[Bytes], *, durable: bool = True) -> bool:
        target = self._file(name)
        if os.path.lexists(target):
            return False
        with self._faults(target, "written"):
            temporary, handle = self._open_temporary(target, durable=durable)
            try:
                with os.fdopen(handle, "wb", buffering=0) as file:
                    for chunk in (data,) if isinstance(data, (bytes, bytearray, memoryview)) else data:
                        _write_all(file.fileno(), chunk)
                    if durable:
                        os.fsync(file.fileno())
                if not _link(temporary, target):
                    return False
                if durable:
                    _sync_directory(os.path.dirname(target))
                return True
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)

    def _open_temporary(self, target: str, *, durable: bool) -> tuple[str, int]:
        directory = os.path.dirname(target)
        temporary = f"{directory}/{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        try:
            return temporary, os.open(temporary, flags, 0o666)
        except FileNotFoundError:
            if durable:
                _make_directory(directory)
            else:
                os.makedirs(directory, exist_ok=True)
            return temporary, os.open(temporary, flags, 0o666)

    def read(self, name: str) -> bytes:
        target = self._file(name)
        with self._faults(target, "read"):
            try:
                with open(target, "rb", buffering=0) as file:
                    return file.readall()
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "no such product", target) from None

    def read_head(self, name: str, size: int) -> bytes:
        target = self._file(name)
        with self._faults(target, "read"):
            try:
                with open(target, "rb", buffering=size) as file:
                    return file.read(size)
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "no such product", target) from None

    def read_tail(self, name: str, size: int) -> bytes:
        target = self._file(name)
        with self._faults(target, "read"):
            try:
                with open(target, "rb", buffering=0) as file:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                    return file.read(size)
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "no such product", target) from None

    def exists(self, name: str) -> bool:
        target = self._file(name)
        try:
            os.stat(target)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _fault(error, target, "read") from error
        return True

    def list(self, prefix: str) -> Names:
        directory = self._directory(prefix)
        with self._faults(directory, "listed"):
            skip = len(self._root) + 1
            return sorted(name for path in _files(directory) if is_name(name := path[skip:]))

    def entries(self, prefix: str) -> Iterator[Entry]:
        directory = self._directory(prefix)
        with self._faults(directory, "listed"):
            skip = len(self._root) + 1
            for path in _files(directory):
                if is_name(name := path[skip:]):
                    with contextlib.suppress(FileNotFoundError):
                        state = os.lstat(path)
                        yield Entry(name, state.st_size, state.st_mtime)

    def children(self, prefix: str) -> Names:
        directory = self._directory(prefix)
        with self._faults(directory, "listed"):
            try:
                return sorted(name for name in os.listdir(directory) if is_name(name))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def quarantine(self, name: str) -> None:
        source = self._file(name)
        number = 0
        while True:
            target = self._file(f"{_DAMAGED}/{name}.{number}")
            with self._faults(target, "written"):
                _make_directory(os.path.dirname(target))
                try:
                    os.link(source, target)
                except FileExistsError:
                    number += 1
                    continue
                except FileNotFoundError:
                    return
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(source)
                _sync_directory(os.path.dirname(source))
                return

    def delete(self, name: str) -> None:
        target = self._file(name)
        with self._faults(target, "removed"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(target)

    def path(self, name: str) -> Path | None:
        return Path(self._file(name))

    def sweep(self, prefix: str, *, older_than: float = 86400.0) -> int:
        directory = self._directory(prefix)
        oldest, removed = time.time() - older_than, 0
        with self._faults(directory, "swept"):
            for path in _files(directory):
                if _is_temporary(path):
                    with contextlib.suppress(FileNotFoundError):
                        if os.stat(path).st_mtime <= oldest:
                            os.unlink(path)
                            removed += 1
        return removed

    def _file(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _directory(self, prefix: str) -> str:
        prefix = prefix.rstrip("/")
        return f"{self._root}/{check_name(prefix)}" if prefix else self._root

    @contextlib.contextmanager
    def _faults(self, path: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if what == "read" and isinstance(error, FileNotFoundError):
                raise
            raise _fault(error, path, what) from error


def open_store(url: str | Path) -> Store:
    """The store at a path, a `file://` URL, or the URL of an object store (`s3://`, `gs://`, `abfs://`).

    It need not be there yet, but for the bucket of an object store.

    Raises:
        StoreError: a scheme that cannot keep products, a malformed URL, or a package that is missing.
    """
    text = os.fspath(url)
    scheme, separator, _ = text.partition("://")
    if not separator:
        if not text or "\0" in text:
            raise StoreFault("the place of the store is empty; give a directory with --out")
        return LocalStore(Path(text).expanduser())
    if scheme == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise StoreFault(f"{text} names the host {parts.netloc!r}; write file:///path, of a directory mounted here")
        return LocalStore(unquote(parts.path))
    from pipeline.farm.object_store import open_object_store  # fsspec, for who needs it

    return open_object_store(text)


def _fault(error: OSError, path: str, what: str) -> StoreFault:
    """What went wrong with a file, with its cure."""
    reason = _CURES.get(error.errno or 0) or error.strerror or str(error)
    return StoreFault(f"{path} cannot be {what}: {reason}", path=path, full=error.errno in _FULL)


def _link(temporary: str, target: str) -> bool:
    try:
        os.link(temporary, target)
    except FileExistsError:
        # An NFS server that repeats a request whose answer was lost says "exists" of the link that it just made.
        return os.stat(temporary).st_nlink == 2
    return True


def _write_all(handle: int, chunk: Bytes) -> None:
    view = memoryview(chunk).cast("B") if not isinstance(chunk, bytes) else memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]


def _make_directory(directory: str) -> None:
    """As `os.makedirs`, with each new entry on disk when it returns."""
    parent = os.path.dirname(directory)
    try:
        os.mkdir(directory)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", directory) from None
        return
    except FileNotFoundError:
        _make_directory(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
    _sync_directory(parent)


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(directory: str) -> Iterator[str]:
    """Paths of all files below a directory; none if it is not there, or goes away meanwhile."""
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry.path


def _is_temporary(path: str) -> bool:
    return os.path.basename(path).startswith(_TEMPORARY)
