"""What was probably meant by a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["meant"]


def meant(word: str, choices: Iterable[str]) -> str:
    """`did you mean 'x'?` for the choice most like `word`, else all choices.

    >>> meant("Sin", ["sine", "relu"])
    "did you mean 'sine'?"
    """
    names = list(choices)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"one of {', '.join(names)}"
