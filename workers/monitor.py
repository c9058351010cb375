"""The Celery application as monitors see it: `celery --app workers.monitor flower`.

It has the farm's own settings for the broker, without which a monitor would take part in Celery's redelivery.
"""

from __future__ import annotations

from pipeline.config.farm import load_farm
from pipeline.errors import ConfigError
from pipeline.farm.queues import celery_app

__all__ = ["app"]

_broker = load_farm().broker_url
if _broker is None:
    raise ConfigError("a monitor needs a broker", suggestion="set PIPELINE_BROKER_URL, or PIPELINE_FARM to a profile")

app = celery_app(_broker)
