"""A running API server for each test; its keys are made once."""

from __future__ import annotations

from tests.integration.apiserver.conftest import api, keys, raw

__all__ = ["api", "keys", "raw"]
