"""What all tests share: nothing is kept in the home directory of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache" / "penumbra"
os.environ.setdefault("PENUMBRA_CACHE", str(CACHE))


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A farm under TLS, ACLs and tokens, as `deploy/` sets it up: `tests.deployment.Deployed`."""
    from tests.deployment import deploy

    with deploy(tmp_path_factory.mktemp("deployed")) as farm:
        yield farm
