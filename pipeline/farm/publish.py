"""Publishing: code of the studio's own is told of each finished version, and where its files are.

A farm's profile names entry points of the group `penumbra.publish`; each is called with a `Published` once a version's
report stands, on the worker that made it. It may be called again for the same version (frames were added, or a worker
died meanwhile): what it makes should go by `id` and `frames`. What it raises is told in the report, and fails no job.

    [project.entry-points."penumbra.publish"]
    kitsu = "studio.tracking:publish"

Two come with the package: `webhook` posts the version as JSON, `kitsu` uploads the movie to a Kitsu task.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final

from pipeline.errors import FarmError

__all__ = ["GROUP", "Published", "Publisher", "publish", "publisher", "webhook"]

log = logging.getLogger(__name__)

GROUP: Final = "penumbra.publish"
URL: Final = "PIPELINE_PUBLISH_URL"
SECRET: Final = "PIPELINE_PUBLISH_SECRET"
TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Published:
    """A finished version.

    Attributes:
        id: of the job, `shot_010.v003`.
        show, sequence, shot, version: whose it is; empty where the shot names none.
        owner: who submitted it.
        fps: exact, as text: 24, 24000/1001.
        frames: path or URL of each frame's EXR, under the name that `output` gives it.
        absent: frames that could not be made.
        movie, sheet, report: paths or URLs; None where there is none.
        hash: of all that the pixels depend on.
    """

    id: str
    show: str
    sequence: str
    shot: str
    version: int
    owner: str
    fps: str
    frames: Mapping[int, str]
    absent: tuple[int, ...]
    movie: str | None
    sheet: str | None
    report: str | None
    hash: str = field(default="")


Publisher = Callable[[Published], object]


def publisher(name: str) -> Publisher:
    """The code behind a name of the profile.

    Raises:
        FarmError: no package brings an entry point of that name, or it cannot be loaded.
    """
    found = entry_points(group=GROUP)
    matching = [each for each in found if each.name == name]
    if not matching:
        known = ", ".join(sorted({each.name for each in found})) or "there are none"
        raise FarmError(f"publish: no entry point {name!r:.60} of the group {GROUP} ({known})")
    try:
        loaded: Publisher = matching[0].load()
    except Exception as error:
        raise FarmError(f"publish: {name} cannot be loaded: {type(error).__name__}: {error}") from error
    return loaded


def publish(version: Published, names: Iterable[str], *, find: Callable[[str], Publisher] = publisher) -> list[str]:
    """Calls each publisher; what went wrong, one line each."""
    notes = []
    for name in names:
        try:
            find(name)(version)
        except Exception as error:  # a studio's own code may raise anything, and the frames are made
            log.exception("publish: %s", name)
            notes.append(f"not published by {name}: {type(error).__name__}: {str(error)[:300]}")
    return notes


def webhook(version: Published) -> None:
    """Posts the version as JSON to the URL of the environment variable PIPELINE_PUBLISH_URL, signed with
    PIPELINE_PUBLISH_SECRET where that is set (`X-Penumbra-Signature: sha256=<HMAC of the body>`).

    Raises:
        FarmError: the URL is not set.
        httpx.HTTPError: it does not answer, or with an error.
    """
    import httpx

    from pipeline.farm.notify import headers

    url = os.environ.get(URL)
    if not url:
        raise FarmError(f"the environment variable {URL} is not set")
    document: dict[str, Any] = {**asdict(version), "event": "published"}
    body = json.dumps(document, ensure_ascii=False).encode()
    sent = dict(headers(body, os.environ.get(SECRET)))
    httpx.post(url, content=body, headers=sent, timeout=TIMEOUT_SECONDS, follow_redirects=False).raise_for_status()
