"""Leases and queues on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from pipeline.errors import FarmError
from pipeline.farm.embedded import EmbeddedRedis
from pipeline.farm.leases import Leadership, Leases, remaining, running
from pipeline.farm.queues import Queues, Report, Ticket, connect, key, list_keys, queue_name, ticket_of

TICKET = Ticket("file:///mnt/renders", "shot.v001", "passes/0001/r00.s00")
QUEUE = queue_name("render", "cpu", "0123456789ab")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as made:
        yield made


@pytest.fixture
def redis(server: EmbeddedRedis) -> Iterator[Redis]:
    client = connect(server.broker_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def queues(redis: Redis) -> Queues:
    return Queues(redis)


def leases(redis: Redis, worker: str = "w") -> Leases:
    return Leases(redis, seconds=0.8, heartbeat=0.2, worker=worker)


def soon(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + 10
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def test_a_lease_lives_as_long_as_its_holder_and_tells_how_far_it_is(redis: Redis) -> None:
    with leases(redis).hold(TICKET) as lease:
        time.sleep(1.2)
        assert lease.taken
        assert 0 < remaining(redis, [TICKET])[TICKET] <= 0.8
        lease.progress(3, 8)
        held = soon(lambda: [held for held in running(redis) if held.total])[0]
        assert (held.ticket, held.worker, held.done, held.total) == (TICKET, "w", 3, 8)

    assert remaining(redis, [TICKET]) == {}


def test_a_lease_that_vanished_is_written_anew(redis: Redis) -> None:
    with leases(redis).hold(TICKET):
        redis.flushall()
        soon(lambda: TICKET in remaining(redis, [TICKET]))


def test_a_second_worker_does_not_get_the_lease_and_does_not_end_the_first_ones(redis: Redis) -> None:
    with leases(redis, "first").hold(TICKET):
        with leases(redis, "second").hold(TICKET) as second:
            assert not second.taken
        assert [held.worker for held in running(redis)] == ["first"]


def test_running_tasks_are_told_by_store_and_job(redis: Redis) -> None:
    other = Ticket("/elsewhere", "other.v002", "report")
    with leases(redis).hold(TICKET), leases(redis).hold(other):
        assert [held.ticket for held in running(redis, job="other.v002")] == [other]
        assert [held.ticket for held in running(redis, store=TICKET.store)] == [TICKET]


def test_one_dispatcher_leads_and_the_next_follows_when_it_gives_back(redis: Redis) -> None:
    first = Leadership(redis, "/s", seconds=30, worker="first")
    second = Leadership(redis, "/s", seconds=30, worker="second")

    assert first.hold()
    assert not second.hold()
    first.give_back()
    assert soon(second.hold)
    assert first.hold() is False


def test_a_dispatcher_that_is_busy_for_longer_than_a_lease_goes_on_leading(redis: Redis) -> None:
    first = Leadership(redis, "/s", seconds=0.4, worker="first")
    second = Leadership(redis, "/s", seconds=0.4, worker="second")

    assert first.hold()
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        assert not second.hold()
        time.sleep(0.1)
    first.give_back()
    assert soon(second.hold)
    second.give_back()


def test_a_dispatcher_that_is_stuck_is_followed_by_another(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.farm.leases.STUCK_LEASES", 0.5)
    first = Leadership(redis, "/s", seconds=0.4, worker="first")
    second = Leadership(redis, "/s", seconds=0.4, worker="second")

    assert first.hold()
    assert soon(second.hold)
    assert not first.hold()
    second.give_back()


def test_a_task_is_sent_once_while_it_is_marked_or_leased(queues: Queues, redis: Redis) -> None:
    queues.set_room({QUEUE: 1}, 4, seconds=60)

    def offer() -> str:
        return queues.offer(TICKET, queue=QUEUE, priority=5, mark_seconds=60)

    assert (offer(), offer()) == ("sent", "busy")
    redis.delete(key("sent", TICKET))
    with leases(redis).hold(TICKET):
        assert offer() == "busy"
    assert offer() == "sent"


def test_a_full_queue_takes_nothing_but_what_is_more_urgent(queues: Queues) -> None:
    queues.set_room({QUEUE: 1}, 2, seconds=60)

    def offer(number: int, priority: int) -> str:
        ticket = Ticket("/s", "j.v001", f"passes/{number:04d}/r00.s00")
        return queues.offer(ticket, queue=QUEUE, priority=priority, mark_seconds=60)

    assert [offer(1, 5), offer(2, 5), offer(3, 5)] == ["sent", "sent", "full"]
    assert [offer(3, 4), offer(3, 9), offer(4, 9), offer(5, 9)] == ["full", "sent", "sent", "full"]
    assert [ticket.task[7:11] for ticket in queues.waiting([QUEUE])[QUEUE]] == ["0004", "0003", "0002", "0001"]


def test_a_queue_that_no_live_worker_serves_takes_nothing(queues: Queues) -> None:
    assert queues.offer(TICKET, queue=QUEUE, priority=5, mark_seconds=60) == "full"


def test_waiting_tasks_can_be_withdrawn(queues: Queues) -> None:
    queues.set_room({QUEUE: 1}, 4, seconds=60)
    other = Ticket("/s", "other.v001", "report")
    for ticket in (TICKET, other):
        queues.offer(ticket, queue=QUEUE, priority=5, mark_seconds=60)

    assert queues.withdraw([QUEUE], lambda ticket: ticket.job == TICKET.job) == 1
    assert queues.waiting([QUEUE])[QUEUE] == [other]
    assert queues.offer(TICKET, queue=QUEUE, priority=5, mark_seconds=60) == "sent"


def test_a_foreign_message_in_a_queue_is_passed_over(queues: Queues, redis: Redis) -> None:
    redis.lpush(list_keys(QUEUE)[3], "nonsense", '{"body": 3}')

    assert queues.waiting([QUEUE]) == {QUEUE: []}
    assert ticket_of("[]") is None


def test_reports_that_nobody_hears_do_not_pile_up(
    queues: Queues, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.farm.queues.WAKES_KEPT", 3)
    for number in range(5):
        queues.wake("/s", Report("j.v001", f"stop/{number:04d}"))

    assert redis.llen(key("wake", "/s")) == 3


def test_a_broker_that_is_not_redis_is_refused() -> None:
    with pytest.raises(FarmError, match="not a Redis URL"):
        connect("amqp://somewhere")
