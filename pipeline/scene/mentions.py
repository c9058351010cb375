"""What a scene's text mentions: plugins, files, ids. Read without Mitsuba, so that all that is wrong comes at once.

Mitsuba's own parser stops at the first thing that it does not like, and reads some files while it parses. This reader
goes through the same XML, its includes and parameters, and only notes names with their places. It accepts whatever the
parser accepts, and leaves judging the structure to it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.images.size import check_image
from pipeline.scene import names

__all__ = ["FileMention", "Mentions", "read_xml"]

MAX_INCLUDES = 15
"""Depth of includes, as in Mitsuba's parser."""

IMAGES = (".exr", ".png", ".jpg", ".jpeg", ".tga", ".bmp", ".tif", ".tiff", ".hdr", ".pfm", ".ppm")
"""Files that a texture may name, by suffix: their size is looked at before Mitsuba decodes them."""

REPLACED = ("integrator", "film", "sampler", "rfilter")
"""Kinds of objects that give way to the shot's own, so that scenes may name plugins for them that are not there."""

_SKIPPED = re.compile(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_TAG = re.compile(r"<([A-Za-z_][\w.:-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_ATTRIBUTE = re.compile(r"([A-Za-z_][\w.:-]*)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


@dataclass(frozen=True)
class FileMention:
    """A file that a scene names.

    Attributes:
        name: as written.
        path: where it is, or the first place where it was looked for.
        place: who names it, `scene.xml:12`.
    """

    name: str
    path: Path
    place: str


@dataclass
class Mentions:
    """What one scene mentions.

    Attributes:
        plugins: (kind, plugin, place).
        files: in the order of the text.
        ids: id → kind (`shape`, `bsdf`, …).
        problems: one line each.
    """

    plugins: list[tuple[str, str, str]] = field(default_factory=list)
    files: list[FileMention] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def judge(self, root: Path) -> list[str]:
        """All problems: unknown plugins and missing files besides those met while reading.

        Args:
            root: directory of the scene; suggestions for missing files are looked for below it.
        """
        known = names.plugins()
        unknown = [
            f"{place}: there is no {kind} plugin '{plugin}'{names.meant(plugin, known)}"
            for kind, plugin, place in self.plugins
            if plugin not in known and kind not in REPLACED
        ]
        missing = [
            f"{mention.place}: {_why_not(mention.path)}: {mention.name}{names.meant_file(mention.path, root)}"
            for mention in self.files
            if not mention.path.is_file()
        ]
        large = [
            f"{mention.place}: {mention.name}: {why}"
            for mention in self.files
            if mention.path.is_file() and (why := _why_not_read(mention.path))
        ]
        return [*self.problems, *missing, *large, *unknown]

    def ids_of(self, kind: str) -> list[str]:
        """Ids of all objects of a kind."""
        return [name for name, found in self.ids.items() if found == kind]


def read_xml(path: Path) -> Mentions:
    """What an XML scene mentions; relative files are looked for in its directory, and where its `<path>` tags point."""
    mentions = Mentions()
    _read(path, [path.parent], {}, 0, mentions)
    return mentions


def _read(path: Path, folders: list[Path], parameters: dict[str, str], depth: int, mentions: Mentions) -> None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        mentions.problems.append(f"{path}: {(error.strerror or 'cannot be read').lower()}")
        return
    for line, tag, attributes in _tags(text, mentions, path):
        place = f"{path}:{line}"
        values = {name: _substituted(value, parameters) for name, value in attributes.items()}
        if tag == "default":
            parameters.setdefault(values.get("name", ""), values.get("value", ""))
        elif tag == "path":
            folder = Path(values.get("value", ""))
            folders.insert(0, folder if folder.is_absolute() else path.parent / folder)
        elif tag == "include":
            _include(values.get("filename", ""), place, path, folders, parameters, depth, mentions)
        elif "type" in values:
            mentions.plugins.append((tag, values["type"], place))
            if "id" in values:
                mentions.ids[values["id"]] = tag
        name = {"string": values.get("value"), "spectrum": values.get("filename")}.get(tag)
        if name and "$" not in name and (tag == "spectrum" or values.get("name") == "filename"):
            mentions.files.append(FileMention(name, _find(name, folders), place))


def _include(
    name: str,
    place: str,
    path: Path,
    folders: list[Path],
    parameters: dict[str, str],
    depth: int,
    mentions: Mentions,
) -> None:
    found = _find(name, [path.parent, *folders])
    if not found.is_file():
        mentions.files.append(FileMention(name, found, place))
    elif depth + 1 >= MAX_INCLUDES:
        mentions.problems.append(f"{place}: includes are nested more than {MAX_INCLUDES} deep")
    else:
        _read(found, folders, parameters, depth + 1, mentions)


def _tags(text: str, mentions: Mentions, path: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    """(line, name, attributes) of each opening tag."""
    # Comments go, their lines stay.
    bare = _SKIPPED.sub(lambda skipped: re.sub(r"[^\n]", " ", skipped[0]), text)
    if doctype := re.search(r"<!DOCTYPE", bare, re.IGNORECASE):
        line = bare.count("\n", 0, doctype.start()) + 1
        mentions.problems.append(f"{path}:{line}: a DOCTYPE is not allowed in a scene: entities are not read")
    line, at = 1, 0
    for tag in _TAG.finditer(bare):
        line += bare.count("\n", at, tag.start())
        at = tag.start()
        pairs = {name: html.unescape(double or single) for name, double, single in _ATTRIBUTE.findall(tag[2])}
        yield line, tag[1], pairs


def _substituted(value: str, parameters: Mapping[str, str]) -> str:
    """`$name` replaced, longest name first, as Mitsuba's parser does."""
    for name in sorted(parameters, key=len, reverse=True):
        value = value.replace(f"${name}", parameters[name])
    return value


def _find(name: str, folders: list[Path]) -> Path:
    """The file in the first folder that has it, else in the last one, which is the scene's own."""
    if Path(name).is_absolute():
        return Path(name)
    return next((folder / name for folder in folders if (folder / name).exists()), folders[-1] / name)


def _why_not_read(path: Path) -> str:
    """Why an image is not to be decoded; empty where it may be, or is none."""
    if path.suffix.lower() not in IMAGES:
        return ""
    try:
        check_image(path)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def _why_not(path: Path) -> str:
    if path.is_dir():
        return "is a directory, not a file"
    return "dangling link" if path.is_symlink() else "missing file"
