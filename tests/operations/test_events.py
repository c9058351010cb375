"""The stream of jobs: what a listener gets, what a slow one misses, and how many there may be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pipeline.api import events
from pipeline.api.events import Stream
from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import StoreError
from pipeline.farm.client import Farm
from pipeline.farm.watching import Watch


@pytest.fixture
def farm(store: Any) -> Farm:
    return Farm.offline(store, FarmConfig())


def told(event: str) -> dict[str, Any]:
    """The document in an event, as an EventSource reads it."""
    name, data, end = event.split("\n", 2)
    assert (name, end) == ("event: job", "\n") and data.startswith("data: ")
    return json.loads(data[6:])  # type: ignore[no-any-return]


def test_a_listener_gets_every_job_as_it_is_then_each_change(farm: Farm, store: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(store)
    watch = Watch(farm, every=0.0, clock=lambda: 0.0)
    stream = Stream(watch)

    async def listen() -> list[str]:
        stream.publish(watch.look())
        heard = stream.events()
        got = [await anext(heard), await anext(heard)]
        stream.publish(watch.look())  # nothing is new
        farm.priority(job, 9)
        farm.pause(job)
        stream.publish(watch.look())
        got.append(await anext(heard))
        await heard.aclose()
        return got

    first, now, then = asyncio.run(listen())

    assert first == "retry: 2000\n\n"
    assert (told(now)["job"], told(now)["state"]) == (job.id, "waiting")
    assert (told(then)["state"], told(then)["priority"]) == ("paused", 9)
    assert not stream._listeners


def test_a_slow_listener_misses_steps_and_never_the_last_one(farm: Farm, store: Any, rehearsed: Any) -> None:
    mine, other = rehearsed.claim(store, "mine"), rehearsed.claim(store, "other")
    watch = Watch(farm, every=0.0, clock=lambda: 0.0)
    stream = Stream(watch)

    async def listen() -> str:
        heard = stream.events(mine.id)
        await anext(heard)
        for level in (1, 2, 3):
            farm.priority(mine, level)
            farm.priority(other, level)
            stream.publish(watch.look())
        return await anext(heard)

    assert (told(asyncio.run(listen()))["job"], stream._known[mine.id].priority) == (mine.id, 3)


def test_a_quiet_stream_says_that_it_lives(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ALIVE_SECONDS", 0.01)

    async def listen() -> list[str]:
        heard = Stream(Watch(farm)).events()
        return [await anext(heard), await anext(heard)]

    assert asyncio.run(listen())[1] == ": alive\n\n"


def test_there_are_so_many_listeners_and_no_more(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LISTENERS", 0)

    answer = served.get("/v1/events")

    assert answer.status_code == 503 and "listening" in answer.json()["detail"]


def test_the_stream_outlives_a_store_that_is_away(farm: Farm, store: Any, rehearsed: Any) -> None:
    rehearsed.claim(store)
    watch = Watch(farm, every=0.0, clock=lambda: 0.0)
    look, away = watch.look, iter([True, False])

    def sometimes() -> Any:
        if next(away, False):
            raise StoreError("the network file system has lost it")
        return look()

    watch.look = sometimes  # type: ignore[method-assign]
    stream = Stream(watch, every=0.0)

    async def run() -> str:
        looking = asyncio.create_task(stream.run())
        heard = stream.events()
        await anext(heard)
        event = await asyncio.wait_for(anext(heard), 20)
        looking.cancel()
        return event

    assert told(asyncio.run(run()))["shot"] == "shot_010"
