"""What Mitsuba complains about, in one line with the place first: `scene.xml:12: …`."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["one_line", "unused_properties"]

_ORIGIN = re.compile(r"\[[\w.]+\.(?:cpp|h):\d+\]\s*|\[[A-Z]\w+\]\s*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WHILE = re.compile(r"(?:Error while loading|While loading|At) (.+?) \(line (\d+), col \d+\): ", re.DOTALL)
_MALFORMED = re.compile(r'Parsing of XML file "(.+?)" failed: (.+?) \(line (\d+), col \d+\)', re.DOTALL)
_IN_DICT = re.compile(r'(?:Error while loading|While loading|At) dictionary node "(.+?)": ', re.DOTALL)
_PLUGIN = re.compile(r'failed to instantiate (\w+) plugin of type "(\w+)": ')
_BLOB = re.compile(r"(?:[^\s\"']*/)?([0-9a-f]{64}(?:\.\w+)?)")
_UNUSED = re.compile(r'Found \d+ unreferenced propert(?:y|ies) in (\w+) plugin of type "(\w+)":')
_PROPERTY = re.compile(r'^\s*- \w+ "(.+?)"', re.MULTILINE)


def one_line(message: str, source: str, files: Mapping[str, str]) -> str:
    """An error of Mitsuba's parser or of a plugin, made readable.

    Args:
        message: the exception's text.
        source: the scene file, for messages that name no place.
        files: blob → the name of the file that it was made from.
    """
    text = _ORIGIN.sub("", _COLOUR.sub("", message)).strip()
    # Errors in included files come wrapped in one line per include; the last one knows the place.
    text = text.split("while processing <include>:\n")[-1]
    text = _MALFORMED.sub(lambda m: f"{m[1]}:{m[3]}: malformed XML: {m[2][:1].lower()}{m[2][1:]}", text)
    text = _WHILE.sub(lambda m: f"{m[1]}:{m[2]}: ", text)
    text = _IN_DICT.sub(lambda m: f"{source}: {m[1]}: ", text)
    text = _PLUGIN.sub(lambda m: f"{m[1]} '{m[2]}': ", text)
    text = _BLOB.sub(lambda m: files.get(m[1], m[0]), text)
    text = " ".join(text.split())
    return text if source in text or re.match(r"\S+:\d+: ", text) else f"{source}: {text}"


def unused_properties(message: str, source: str) -> list[str]:
    """One line for each property that no plugin asked for, of such a message of Mitsuba's log; else nothing."""
    text = _COLOUR.sub("", message)
    found = _UNUSED.search(text)
    if found is None:
        return []
    where, inside = _WHILE.search(text), _IN_DICT.search(text)
    place = f"{where[1]}:{where[2]}" if where else f"{source}: {inside[1]}" if inside else source
    plugin = f"{found[1]} '{found[2]}'"
    return [f"{place}: {plugin} has no property '{name}'" for name in _PROPERTY.findall(text[found.end() :])]
