"""Tokens of the API: random words of 256 bits, of which the file keeps SHA-256 digests alone.

The file is JSON, `{"tokens": [{"name", "role", "sha256", "created"}]}`, and is read again when it changes, so that a
revoked token ends at once. A digest needs no salt and no slow hash: nobody guesses 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import ConfigError

__all__ = ["ROLES", "Role", "Token", "Tokens", "issue", "revoke"]

Role = Literal["read", "write"]
ROLES: Final[tuple[Role, ...]] = ("read", "write")
"""`read` looks at jobs, logs and metrics; `write` submits and controls as well."""

PREFIX: Final = "pen_"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token, as the file knows it.

    Attributes:
        name: who uses it; audit lines say it.
        role: what it may do.
        sha256: of the token.
        created: ISO 8601, UTC.
    """

    name: str
    role: Role
    sha256: str
    created: str

    def may(self, role: Role) -> bool:
        """Whether it may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Tokens:
    """The tokens in a file. Safe to use from several threads.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def check(self, text: str) -> Token | None:
        """The token that somebody shows; None when there is no such one.

        Raises:
            ConfigError: the file cannot be read.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()
        found = None
        for token in self.all():  # all of them, whichever fits: the time tells nothing
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def all(self) -> tuple[Token, ...]:
        """Every token of the file, as it is now.

        Raises:
            ConfigError: the file cannot be read.
        """
        with self._lock:
            try:
                state = self.path.stat()
            except OSError as error:
                raise ConfigError(
                    f"cannot be read: {error.strerror}", path=self.path, suggestion="make one with `pipeline api token`"
                ) from error
            seen = state.st_mtime_ns, state.st_size
            if seen != self._seen:
                self._tokens, self._seen = _read(self.path), seen
            return self._tokens


def issue(path: Path, name: str, role: Role) -> str:
    """Makes a token, and the file if it is not there; returns the token, which nobody can tell again.

    Raises:
        ConfigError: the name is none or is taken, or the file cannot be read or written.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"{name!r:.60} is no name for a token: letters, digits, _ . @ - only")
    known = _read(path) if path.exists() else ()
    if any(token.name == name for token in known):
        raise ConfigError(f"there is a token called '{name}'", path=path, suggestion="revoke it first")
    text = PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, [*known, Token(name, role, hashlib.sha256(text.encode()).hexdigest(), created)])
    return text


def revoke(path: Path, name: str) -> None:
    """Ends a token.

    Raises:
        ConfigError: there is none of that name, or the file cannot be read or written.
    """
    known = _read(path)
    kept = [token for token in known if token.name != name]
    if len(kept) == len(known):
        raise ConfigError(f"there is no token called '{name}'", path=path)
    _write(path, kept)


def _read(path: Path) -> tuple[Token, ...]:
    try:
        tokens = tuple(Token(**each) for each in json.loads(path.read_text(encoding="utf-8"))["tokens"])
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("is not a file of tokens", path=path) from error
    if any(token.role not in ROLES or len(token.sha256) != 64 for token in tokens):
        raise ConfigError(f"has a token of another role than {', '.join(ROLES)}, or a digest cut short", path=path)
    return tokens


def _write(path: Path, tokens: Iterable[Token]) -> None:
    """Replaces the file in one step; only its owner may read it."""
    text = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tokens-")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=path) from error
