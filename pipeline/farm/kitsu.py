"""A version's movie on its shot in Kitsu: an example of a publisher, against the public API of Zou.

Finds project → sequence → shot → task by name, comments on the task, and adds the movie as a preview. Set
KITSU_URL (https://kitsu.studio.example/api), KITSU_TOKEN (of a bot), and KITSU_TASK (the task type, Lighting).

Source: https://api-docs.kitsu.cloud (routes `/data/…`, `/actions/tasks/…`, `/pictures/preview-files/…`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx

from pipeline.errors import FarmError
from pipeline.farm.publish import Published

__all__ = ["Kitsu", "publish"]

TIMEOUT_SECONDS = 120.0


def publish(version: Published) -> None:
    """The entry point `kitsu`.

    Raises:
        FarmError: a variable is not set, or Kitsu has no such project, shot or task.
        httpx.HTTPError: it does not answer, or with an error.
    """
    missing = [name for name in ("KITSU_URL", "KITSU_TOKEN") if not os.environ.get(name)]
    if missing:
        raise FarmError(f"set {' and '.join(missing)}")
    headers = {"Authorization": f"Bearer {os.environ['KITSU_TOKEN']}"}
    base = os.environ["KITSU_URL"].rstrip("/") + "/"
    with httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECONDS) as client:
        Kitsu(client).publish(version, task=os.environ.get("KITSU_TASK", "Lighting"))


class Kitsu:
    """What a publisher needs of Kitsu's API.

    Args:
        client: with the base URL and the bot's token.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def publish(self, version: Published, *, task: str) -> str:
        """Comments on the shot's task, with the movie as preview; the preview's id, or the comment's without one.

        Raises:
            FarmError: there is no such project, sequence, shot or task.
        """
        project = self._named("data/projects", version.show)
        shots = f"data/projects/{project['id']}/shots"
        if version.sequence:
            sequence = self._named(f"data/projects/{project['id']}/sequences", version.sequence)
            shots = f"data/sequences/{sequence['id']}/shots"
        shot = self._named(shots, version.shot)
        kind = self._named("data/task-types", task)
        tasks = [each for each in self._get(f"data/shots/{shot['id']}/tasks") if each["task_type_id"] == kind["id"]]
        if not tasks:
            raise FarmError(f"Kitsu: {version.shot} has no task {task}")
        found = tasks[0]
        text = f"{version.id}: {len(version.frames)} frames, by {version.owner or 'Penumbra'}"
        status = {"task_status_id": found["task_status_id"], "comment": text}
        comment = self._post(f"actions/tasks/{found['id']}/comment", json=status)
        if version.movie is None:
            return str(comment["id"])
        preview = self._post(f"actions/tasks/{found['id']}/comments/{comment['id']}/add-preview", json={})
        with Path(version.movie).open("rb") as movie:
            file = {"file": (f"{version.id}.mp4", movie, "video/mp4")}
            self._post(f"pictures/preview-files/{preview['id']}", files=file)
        return str(preview["id"])

    def _named(self, route: str, name: str) -> dict[str, Any]:
        for each in self._get(route):
            if each["name"] == name:
                return dict(each)
        raise FarmError(f"Kitsu: nothing in {route} is called {name!r:.60}")

    def _get(self, route: str) -> Any:
        answer = self._client.get(route)
        answer.raise_for_status()
        return answer.json()

    def _post(self, route: str, **body: Any) -> Any:
        answer = self._client.post(route, **body)
        answer.raise_for_status()
        return answer.json()
