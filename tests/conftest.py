"""Shared by all tests."""

from __future__ import annotations

import asyncio

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Leave no event loop to plain tests: plugins would create one that nobody closes, and warnings are errors here."""
    asyncio.set_event_loop(None)
