"""Webhooks are told once of what happened, again when they did not answer, and signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import httpx

from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.client import Farm
from pipeline.farm.notify import TRIES, Notifier
from pipeline.farm.watching import Watch


class Receiver:
    """A webhook in memory, which answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[httpx.Request] = []
        self.status = 200

    def client(self) -> httpx.Client:
        def answer(request: httpx.Request) -> httpx.Response:
            self.got.append(request)
            return httpx.Response(self.status, headers={"Location": "http://elsewhere/"})

        return httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=False)

    def ids(self) -> list[str]:
        return [json.loads(request.content)["id"] for request in self.got]


def test_first_frame_and_end_are_told_once_also_after_a_restart(store: Any, rehearsed: Any) -> None:
    receiver, watch = Receiver(), Watch(Farm.offline(store, FarmConfig()), every=0.0)
    job = rehearsed.claim(store)
    notifier = Notifier(store, ["http://hook/secret-path"], secret="s", client=receiver.client())
    notifier.tell(watch.look())
    assert receiver.got == []

    rehearsed.make(store, job)
    for each in (notifier, notifier, Notifier(store, ["http://hook/"], client=receiver.client())):
        each.tell(watch.look())

    assert receiver.ids() == [f"{job.id}/first_frame", f"{job.id}/done"]
    body = receiver.got[0].content
    signature = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    assert receiver.got[0].headers["X-Penumbra-Signature"] == f"sha256={signature}"


def test_a_webhook_that_does_not_answer_is_asked_again_ever_later_and_given_up(store: Any, rehearsed: Any) -> None:
    now = 0.0
    receiver, watch = Receiver(), Watch(Farm.offline(store, FarmConfig()), every=0.0)
    receiver.status = 302  # a redirect is not followed
    job = rehearsed.claim(store)
    watch.look()
    rehearsed.make(store, job)
    notifier = Notifier(store, ["http://hook/"], client=receiver.client(), clock=lambda: now)

    notifier.tell(watch.look())
    notifier.tell(watch.look())
    assert len(receiver.got) == 2  # two notices, once each
    for _ in range(TRIES):
        now += 2.0**TRIES * 2
        notifier.tell(watch.look())

    assert len(receiver.got) == 2 * TRIES and {request.url.host for request in receiver.got} == {"hook"}
