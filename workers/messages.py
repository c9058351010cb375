"""Messages that are none: a worker refuses them with a line, and goes on.

Celery refuses what it can decode and does not like. What the transport itself cannot take apart (no JSON, or JSON
without the keys of a message) ends the whole worker: whoever may write into one list could take down a farm.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport.redis import Channel

__all__ = ["keep_reading"]

log = logging.getLogger(__name__)

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What taking a malformed message apart raises: of a broker that is away, other errors tell."""


def keep_reading() -> None:
    """From now on, malformed messages cost this process a line in its log. Safe to call twice."""
    for name in ("_brpop_read", "_deliver_fanout_message"):
        read = getattr(Channel, name)
        if not hasattr(read, "refuses"):
            setattr(Channel, name, _refusing(read))


def _refusing(read: Any) -> Any:
    def refusing(channel: Channel, *args: Any, **options: Any) -> Any:
        try:
            return read(channel, *args, **options)
        except MALFORMED as error:
            log.error("refused a message that is malformed: %s: %.200s", type(error).__name__, error)
            return True  # it is out of its list: the next one may come

    refusing.refuses = True  # type: ignore[attr-defined]
    return refusing
