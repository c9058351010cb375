"""What all tests share: nothing is kept in the home directory of whoever runs them."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache" / "penumbra"
os.environ.setdefault("PENUMBRA_CACHE", str(CACHE))
