"""Shared by all tests."""

from __future__ import annotations

import asyncio
import gc

import hypothesis
import pytest

pytest_plugins = ("tests.guards",)

# A busy machine must not fail a property: how long examples take says nothing about them.
hypothesis.settings.register_profile("tiphys", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tiphys")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let scenarios be written as they are played."""
    parser.addoption("--rewrite", action="store_true", help="write the traces of scenarios as they are")


def pytest_configure(config: pytest.Config) -> None:
    """Leave no event loop to plain tests: plugins would create one that nobody closes, and warnings are errors here."""
    asyncio.set_event_loop(None)


def pytest_collection_finish() -> None:
    """Keep the collector from looking through all modules and tests again and again: they stay until the end."""
    gc.collect()
    gc.freeze()
