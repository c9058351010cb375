"""Records of the store: small JSON files that people and workers leave for each other, read back as what they are.

Whoever may write into a store may write anything: what is no record is an error of the farm's, which costs the job or
the worker that it is about, and nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import FarmError

__all__ = ["parsed"]

T = TypeVar("T")


def parsed(kind: type[T], data: bytes | str, name: str) -> T:
    """The record in these bytes.

    Args:
        kind: a dataclass; keys that it does not have are left out.
        data: JSON.
        name: of the record, for the error.

    Raises:
        FarmError: it is none: damaged, or of another release.
    """
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FarmError(f"{name} cannot be used: {place} {first['msg']}".replace("  ", " ")) from error


@lru_cache(maxsize=64)
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
