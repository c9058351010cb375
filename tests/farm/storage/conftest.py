"""A real S3 protocol server on the loopback, and stores in its one bucket."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from pipeline.farm.object_store import ObjectStore
from pipeline.farm.store import open_store

_numbers = itertools.count()


@pytest.fixture(scope="package")
def bucket() -> Iterator[ObjectStore]:
    """A store over the whole bucket, and the variables by which machines of a farm know its server."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "penumbra")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "not a secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        opened = open_store("s3://farm")
        assert isinstance(opened, ObjectStore)
        opened._fs.mkdir("farm")
        yield opened
    server.stop()


@pytest.fixture
def store(bucket: ObjectStore) -> ObjectStore:
    """A store in a place of its own."""
    return ObjectStore(f"s3://farm/renders-{next(_numbers)}", bucket._fs)
