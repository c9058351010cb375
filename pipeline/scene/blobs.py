"""Content-addressed files of frozen scenes: a blob is named `<sha256>.<ext>` after what is in it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import SceneError

__all__ = ["digest", "is_blob", "put", "put_text", "reference", "resolve"]

_NAME = re.compile(r"[0-9a-f]{64}(\.[A-Za-z0-9_]{1,16})?")


def is_blob(name: str) -> bool:
    """Whether a file name is that of a blob."""
    return _NAME.fullmatch(name) is not None


def digest(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(blobs: Path, source: Path, *, extension: str | None = None) -> str:
    """Copies a file into the blob directory, unless its content is there already, and returns the blob's name.

    Raises:
        OSError: the file cannot be read, or the directory not written.
    """
    suffix = _suffix(source.suffix if extension is None else extension)
    name = digest(source) + suffix
    if _holds(blobs / name):
        return name
    with _temporary(blobs) as temporary:
        shutil.copyfile(source, temporary)
        name = digest(temporary) + suffix  # anew: the source may have changed meanwhile
        _publish(temporary, blobs / name)
    return name


def put_text(blobs: Path, text: str, extension: str) -> str:
    """As `put`, of text, in UTF-8."""
    data = text.encode()
    name = hashlib.sha256(data).hexdigest() + _suffix(extension)
    with _temporary(blobs) as temporary:
        temporary.write_bytes(data)
        _publish(temporary, blobs / name)
    return name


def reference(source: Path, *, extension: str | None = None) -> str:
    """The name that a file's blob would have, without a copy."""
    return digest(source) + _suffix(source.suffix if extension is None else extension)


def resolve(blobs: Path, name: str, references: Mapping[str, str]) -> Path:
    """The file of a blob, after a check of its content.

    Args:
        blobs: the blob directory.
        name: of the blob.
        references: blob → absolute path of a file that was too large to copy.

    Raises:
        SceneError: it is missing, or its content is not what was frozen.
    """
    path = Path(references[name]) if name in references else blobs / name
    if not is_blob(name):
        raise SceneError(f"'{name}' is not the name of a frozen file")
    try:
        state = path.stat()
    except OSError:
        raise SceneError(f"frozen file {path} is missing; submit the shot again") from None
    if _checked(path, state.st_mtime_ns, state.st_size) != name[:64]:
        what = "has changed since the shot was submitted" if name in references else "is damaged"
        raise SceneError(f"frozen file {path} {what}; submit the shot again")
    return path


@functools.lru_cache(maxsize=65536)
def _checked(path: Path, changed: int, size: int) -> str:
    """Digest of a file, computed once per process while it does not change."""
    return digest(path)


def _holds(path: Path) -> bool:
    """Whether a blob is there, whole."""
    if not path.exists():
        return False
    state = path.stat()
    return _checked(path, state.st_mtime_ns, state.st_size) == path.name[:64]


def _publish(temporary: Path, target: Path) -> None:
    """Create-if-absent: who comes second uses the first one's bytes. A damaged blob is replaced."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        if not _holds(target):
            os.replace(temporary, target)


@contextlib.contextmanager
def _temporary(blobs: Path) -> Iterator[Path]:
    """An empty file in the blob directory, gone afterwards."""
    blobs.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=blobs, prefix=".tmp-")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _suffix(extension: str) -> str:
    word = re.sub(r"[^A-Za-z0-9_]", "", extension.lower())[:16]
    return f".{word}" if word else ""
