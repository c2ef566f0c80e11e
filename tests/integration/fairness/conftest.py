"""A running API server for each test; its keys are made once."""

from __future__ import annotations

from tests.integration.apiserver.conftest import _no_leftover_tasks, api, keys, raw

__all__ = ["_no_leftover_tasks", "api", "keys", "raw"]
