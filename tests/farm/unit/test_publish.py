"""Publishers: what they are told, that their faults fail nothing, and Kitsu's API as its documentation has it."""

from __future__ import annotations

import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from pipeline.errors import FarmError
from pipeline.farm import publish as publishing
from pipeline.farm.kitsu import Kitsu
from pipeline.farm.publish import Published, publish, publisher, webhook

VERSION = Published(
    "a_010.v002", "dragon", "sq010", "a_010", 2, "ada", "24", {1: "/r/a.0001.exr"}, (), None, None, "/r/report.json"
)


def test_publishers_are_called_in_turn_and_their_faults_are_told() -> None:
    told: list[Published] = []

    def broken(version: Published) -> None:
        raise OSError("no route to host")

    found = {"mine": told.append, "broken": broken}
    assert publish(VERSION, ["broken", "mine"], find=found.__getitem__) == [
        "not published by broken: OSError: no route to host"
    ]
    assert told == [VERSION]


def test_a_publisher_that_no_package_brings_is_named() -> None:
    with pytest.raises(FarmError, match=r"no entry point 'ftrack' of the group penumbra\.publish"):
        publisher("ftrack")


def test_the_webhook_gets_the_version_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[bytes, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["X-Penumbra-Signature"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        monkeypatch.setenv(publishing.URL, f"http://127.0.0.1:{server.server_port}/x")
        monkeypatch.setenv(publishing.SECRET, "s")
        webhook(VERSION)
        thread.join(10)
    (body, signature) = got[0]
    assert signature == f"sha256={hmac.new(b's', body, hashlib.sha256).hexdigest()}"
    document = json.loads(body)
    assert document["event"] == "published"
    assert document["frames"] == {"1": "/r/a.0001.exr"}


def test_kitsu_gets_a_comment_and_the_movie(tmp_path: Path) -> None:
    movie = tmp_path / "a.mp4"
    movie.write_bytes(b"a movie")
    asked: list[tuple[str, str]] = []
    answers: dict[str, Any] = {
        "/api/data/projects": [{"id": "p", "name": "dragon"}],
        "/api/data/projects/p/sequences": [{"id": "q", "name": "sq010"}],
        "/api/data/sequences/q/shots": [{"id": "s", "name": "a_010"}],
        "/api/data/task-types": [{"id": "l", "name": "Lighting"}, {"id": "c", "name": "Compositing"}],
        "/api/data/shots/s/tasks": [
            {"id": "t0", "task_type_id": "c", "task_status_id": "x"},
            {"id": "t1", "task_type_id": "l", "task_status_id": "wip"},
        ],
        "/api/actions/tasks/t1/comment": {"id": "k"},
        "/api/actions/tasks/t1/comments/k/add-preview": {"id": "v"},
        "/api/pictures/preview-files/v": {"id": "v"},
    }

    def zou(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path))
        if request.url.path.endswith("/comment"):
            assert json.loads(request.content)["task_status_id"] == "wip"
        if "preview-files" in request.url.path:
            assert b"a movie" in request.content
        return httpx.Response(200, json=answers[request.url.path])

    version = Published(**{name: getattr(VERSION, name) for name in VERSION.__slots__} | {"movie": str(movie)})
    with httpx.Client(base_url="https://kitsu.example/api/", transport=httpx.MockTransport(zou)) as client:
        assert Kitsu(client).publish(version, task="Lighting") == "v"
        with pytest.raises(FarmError, match="called 'Layout'"):
            Kitsu(client).publish(version, task="Layout")
    assert asked[5:8] == [
        ("POST", "/api/actions/tasks/t1/comment"),
        ("POST", "/api/actions/tasks/t1/comments/k/add-preview"),
        ("POST", "/api/pictures/preview-files/v"),
    ]
