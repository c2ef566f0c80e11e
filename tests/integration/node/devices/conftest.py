"""Shared by the tests of device plugins behind sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name: that of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="dev-") as path:
        yield Path(path)
