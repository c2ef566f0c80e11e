"""End-to-end tests make containers and network namespaces, which takes root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="containers and network namespaces need root"))
