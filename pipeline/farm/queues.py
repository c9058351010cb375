"""Tickets and queues: how a task's name travels to a worker.

A ticket says where a job lives and which product is wanted; it is all that a message carries. Queues are named
`<kind>.<device>.<environment key>`, so that work reaches only workers whose pixels agree bit for bit, with the key of
what a task requires of its worker behind it (`pipeline.farm.requirements`); each queue is ten Redis lists, one per
priority. Messages are Celery's (protocol 2), as JSON. They are written here, and pushed by the script that marks the
task as sent: one question to Redis, where Celery's own way of sending takes several and most of the dispatcher's time.
Celery's redelivery is switched off (`ack_emulation`): a popped message is gone; the sweep brings back what was lost.

Keys in Redis (all of them may vanish at any time; they are written anew):

    penumbra:lease:<ticket>     who works on the task          expires with the lease
    penumbra:sent:<ticket>      the task went into a queue     expires with the lease
    penumbra:worker:<name>      a live worker, as JSON         expires after three missed beats
    penumbra:room:<queue>       how many tasks it may hold     written by the dispatcher
    penumbra:wake:<store>       what workers report to the dispatcher
    penumbra:classes:<store>    queues of tasks that require something, and what: for workers, written by the dispatcher
    penumbra:shared:<store>     several shows share the farm: the dispatcher alone fills the queues
    penumbra:away:<job>         why tasks of a job back off (a licence, the store), for people; expires by itself
    penumbra:rate:<job>         samples per second of the job's slices
    penumbra:permit:<name>      who holds it: `pipeline.farm.permits`
    penumbra:leader:<store>     the dispatcher of a store      expires with the lease
    penumbra:hold:<store>       the store is full              until a probe finds room
    penumbra:stopping:<worker>  the worker is asked to let go of its task
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pipeline.errors import FarmError
from pipeline.farm.names import Queue
from pipeline.farm.requirements import Requirement

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

__all__ = [
    "KINDS",
    "Offer",
    "Queues",
    "Report",
    "Ticket",
    "celery_app",
    "connect",
    "device_of",
    "key",
    "list_keys",
    "message_of",
    "queue_name",
    "ticket_of",
]

KINDS: tuple[Queue, ...] = ("light", "denoise", "render", "train")
"""Kinds of queues, in the order in which a free slot looks at them: what finishes frames comes first, errands last."""

PRIORITIES = 10
SEPARATOR = ":"
PREFIX = "penumbra"
WAKES_KEPT = 4096
SOCKET_SECONDS = 15.0
"""A command that Redis has not answered for this long failed: a network that is cut looks like this."""

RESERVE = """
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 'busy' end
if ARGV[2] == 'direct' and redis.call('EXISTS', KEYS[4]) > 0 then return 'full' end
local room = tonumber(redis.call('GET', KEYS[3]) or '0')
for i = 5, #KEYS do room = room - redis.call('LLEN', KEYS[i]) end
if room <= 0 then return 'full' end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
redis.call('LPUSH', KEYS[#KEYS], ARGV[3])
return 'sent'
"""
"""Puts the message ARGV[3] into the last of a queue's lists (from KEYS[5] on; room KEYS[3]) and marks its task (lease
KEYS[1], mark KEYS[2]) as sent, if the queue is not full. A worker that would send what comes after its task leaves that
to the dispatcher while shows share the farm (KEYS[4])."""

Offer = Literal["sent", "busy", "full"]


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """One task of one job.

    Attributes:
        store: URL of the product store.
        job: id of the job in it, `shot_010.v001`.
        task: name of the product that the task makes.
    """

    store: str
    job: str
    task: str

    def __str__(self) -> str:
        return f"{self.store}|{self.job}|{self.task}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells the dispatcher. It is believed as far as the store bears it out.

    Attributes:
        job: id of the job; empty: look around.
        task: name of a product or a mark that is there now, or of the task that was not made; empty: look at the job.
        outcome: how the attempt ended: `made` … as in `pipeline.farm.attempts`; `away` and `deferred` (a permit was not
            to be had) for attempts that were taken back; empty where there was none.
        attempt: its number: the fence. −1 where there was none.
        worker: who tried.
    """

    job: str = ""
    task: str = ""
    outcome: str = ""
    attempt: int = -1
    worker: str = ""

    def to_json(self) -> str:
        """Text from which `of` makes an equal one."""
        return json.dumps([self.job, self.task, self.outcome, self.attempt, self.worker])

    @classmethod
    def of(cls, text: str) -> Report:
        """The report in `to_json`'s text.

        Raises:
            FarmError: it is none.
        """
        try:
            job, task, outcome, attempt, worker = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise FarmError(f"no report: {text!r:.100}") from error
        texts = (job, task, outcome, worker)
        if not all(isinstance(each, str) for each in texts) or not isinstance(attempt, int):
            raise FarmError(f"no report: {text!r:.100}")
        return cls(job, task, outcome, attempt, worker)


def key(kind: str, of: object) -> str:
    """Name of a Redis key: `penumbra:lease:renders|shot_010.v001|report`."""
    return f"{PREFIX}:{kind}:{of}"


def queue_name(kind: str, device: str, environment_key: str, requirement: str = "") -> str:
    """Name of a queue.

    Args:
        kind: of tasks.
        device: that the environment asks for, see `device_of`.
        environment_key: of the job.
        requirement: key of what the tasks require of their worker; empty for nothing.

    >>> queue_name("render", "cpu", "0123456789ab"), queue_name("light", "any", "0123456789ab", "beef")
    ('render.cpu.01234567', 'light.any.01234567.beef')
    """
    if kind not in KINDS:
        raise FarmError(f"there is no queue of the kind '{kind}'; kinds are {', '.join(KINDS)}")
    return f"{kind}.{device}.{environment_key[:8]}" + (f".{requirement}" if requirement else "")


def device_of(environment: Mapping[str, Any]) -> str:
    """The kind of device that a job's environment asks for: `cpu`, `cuda`, or `any` when nothing depends on it.

    >>> device_of({"variant": "llvm_ad_rgb"}), device_of({})
    ('cpu', 'any')
    """
    variant = str(environment.get("variant", ""))
    return "cuda" if variant.startswith("cuda") else "cpu" if variant else "any"


def step(priority: int) -> int:
    """Celery's number of a job's priority: on Redis 0 is served first, in a job 9 is."""
    return PRIORITIES - 1 - min(max(priority, 0), PRIORITIES - 1)


def list_keys(queue: str) -> list[str]:
    """The Redis lists of a queue, the one that is served first in front."""
    return [queue if number == 0 else f"{queue}{SEPARATOR}{number}" for number in range(PRIORITIES)]


def connect(broker_url: str, *, timeout: float = SOCKET_SECONDS) -> Redis:
    """A Redis client for a broker's URL; it connects at the first command.

    Args:
        broker_url: `redis://…`, `rediss://…` or `redis+socket:///path` (a Unix socket), as Celery takes it.
        timeout: seconds after which a command that is not answered fails.

    Raises:
        FarmError: the URL is none of these.
    """
    from redis import Redis

    parts = urlsplit(broker_url)
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout,
        "health_check_interval": 25,
    }
    if parts.scheme in ("redis+socket", "unix"):
        return Redis.from_url(f"unix://{parts.path}", **options)
    if parts.scheme in ("redis", "rediss"):
        return Redis.from_url(broker_url, socket_connect_timeout=min(timeout, 5.0), **options)
    raise FarmError(f"broker '{broker_url}' is not a Redis URL (redis://, rediss:// or redis+socket://)")


def celery_app(broker_url: str, *, events: bool = True, options: Mapping[str, Any] | None = None) -> Celery:
    """The Celery application of the farm, as both who sends and who works needs it.

    Args:
        broker_url: as for `connect`.
        events: tell monitors such as Flower about every task.
        options: further Celery settings.
    """
    from celery import Celery

    connect(broker_url).close()  # refuses a foreign URL in our words
    app = Celery("penumbra", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        worker_send_task_events=events,
        worker_detect_quorum_queues=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,
            "queue_order_strategy": "priority",
            "priority_steps": list(range(PRIORITIES)),
            "sep": SEPARATOR,
            "socket_timeout": SOCKET_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        **(options or {}),
    )
    return app


class Queues:
    """The farm's queues, for who sends: the dispatcher, and a worker that has finished a task.

    Every method raises `redis.RedisError` while the broker is away.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._reserve = redis.register_script(RESERVE)

    def offer(self, ticket: Ticket, *, queue: str, priority: int, mark_seconds: float, direct: bool = False) -> Offer:
        """Puts a task into a queue unless it is there, at work, or the queue is full.

        A queue is full for a task when it holds as many of its own or a higher priority as it has room for: what is
        urgent need not wait until something less urgent was served.

        Args:
            ticket: the task.
            queue: name of the queue.
            priority: the job's, 0 (last) to 9 (first).
            mark_seconds: for how long nobody else may send the task.
            direct: a worker sends what comes after its task, which it does not do while shows share the farm.

        Returns:
            `sent`, or why not: `busy` (it was sent a moment ago, or is at work) or `full`.
        """
        lists = list_keys(queue)[: step(priority) + 1]
        keys = [key("lease", ticket), key("sent", ticket), key("room", queue), key("shared", ticket.store), *lists]
        message = message_of(ticket, queue=queue, priority=priority)
        args = [int(1000 * mark_seconds), "direct" if direct else "", message]
        answer: Offer = self._reserve(keys=keys, args=args)
        return answer

    def set_room(self, slots: Mapping[str, int], depth: int, *, seconds: float) -> None:
        """Says how many tasks each queue may hold: so many for each live slot that serves it."""
        pipe = self.redis.pipeline(transaction=False)
        for queue, count in slots.items():
            pipe.set(key("room", queue), count * depth, px=int(1000 * seconds))
        pipe.execute()

    def announce(self, store: str, classes: Mapping[str, Requirement], *, seconds: float) -> None:
        """Tells workers which queues there are beside the plain ones, and what their tasks require."""
        text = json.dumps({queue: wanted.to_json() for queue, wanted in classes.items()})
        self.redis.set(key("classes", store), text, px=int(1000 * seconds))

    def classes(self, stores: Iterable[str]) -> dict[str, Requirement]:
        """What was announced for some stores."""
        keys = [key("classes", store) for store in stores]
        found: dict[str, Requirement] = {}
        for text in self.redis.mget(keys) if keys else []:
            found |= {queue: Requirement.from_json(values) for queue, values in json.loads(text or "{}").items()}
        return found

    def share(self, store: str, *, seconds: float) -> None:
        """Several shows want tasks: for so long, workers leave it to the dispatcher to send what comes next."""
        self.redis.set(key("shared", store), "1", px=int(1000 * seconds))

    def workers(self) -> list[dict[str, Any]]:
        """The live workers, as they describe themselves."""
        keys = list(self.redis.scan_iter(match=key("worker", "*"), count=512))
        found = [json.loads(text) for text in (self.redis.mget(keys) if keys else []) if text]
        return sorted(found, key=lambda worker: str(worker["name"]))

    def waiting(self, queues: Iterable[str]) -> dict[str, list[Ticket]]:
        """The tasks in each queue, the one that is served last in front. Queues are short: at most twice the slots."""
        names = list(queues)
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            for list_key in list_keys(name):
                pipe.lrange(list_key, 0, -1)
        lists = iter(pipe.execute())
        found = {name: [ticket_of(raw) for _ in range(PRIORITIES) for raw in next(lists)] for name in names}
        return {name: [ticket for ticket in tickets if ticket is not None] for name, tickets in found.items()}

    def withdraw(self, queues: Iterable[str], unwanted: Callable[[Ticket], bool]) -> int:
        """Takes tasks out of the queues before a worker has popped them; returns how many."""
        withdrawn = 0
        for list_key in (list_key for name in queues for list_key in list_keys(name)):
            for raw in self.redis.lrange(list_key, 0, -1):
                ticket = ticket_of(str(raw))
                if ticket is not None and unwanted(ticket) and self.redis.lrem(list_key, 1, str(raw)):
                    self.redis.delete(key("sent", ticket))
                    withdrawn += 1
        return withdrawn

    def lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue that is known to Redis now."""
        known = sorted(str(name).split(":", 2)[2] for name in self.redis.scan_iter(match=key("room", "*")))
        pipe = self.redis.pipeline(transaction=False)
        for name in known:
            for list_key in list_keys(name):
                pipe.llen(list_key)
        counts = pipe.execute()
        return {name: sum(counts[i * PRIORITIES : (i + 1) * PRIORITIES]) for i, name in enumerate(known)}

    def wake(self, store: str, report: Report | None = None) -> None:
        """Reports to the dispatcher of a store; without a report, asks it to look around now."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.rpush(key("wake", store), (report or Report()).to_json())
        pipe.ltrim(key("wake", store), -WAKES_KEPT, -1)  # nobody listens: what is dropped, the sweep finds
        pipe.execute()


def message_of(ticket: Ticket, *, queue: str, priority: int) -> str:
    """The message in which a ticket travels, as it lies in a Redis list: a Celery task, version 2 of its protocol.

    Source: https://docs.celeryq.dev/en/stable/internals/protocol.html and kombu's virtual transport.
    """
    task_id = f"{ticket.job}/{ticket.task}~{secrets.token_hex(2)}"
    arguments = [ticket.store, ticket.job, ticket.task]
    body = json.dumps([arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": f"{PREFIX}.{queue.partition('.')[0]}",
                "id": task_id,
                "root_id": task_id,
                "parent_id": None,
                "group": None,
                "eta": None,
                "expires": None,
                "retries": 0,
                "timelimit": [None, None],
                "argsrepr": repr(arguments),
                "kwargsrepr": "{}",
                "origin": PREFIX,
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": step(priority),
                "body_encoding": "base64",
                "delivery_tag": secrets.token_hex(8),
            },
        }
    )


def ticket_of(raw: str) -> Ticket | None:
    """The ticket in a message as it lies in a Redis list; None if it is not a message of this farm."""
    try:
        message = json.loads(raw)
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        store, job, task = json.loads(body)[0]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return None  # the worker that pops it refuses it, and says so
    return Ticket(store, job, task) if all(isinstance(each, str) for each in (store, job, task)) else None
