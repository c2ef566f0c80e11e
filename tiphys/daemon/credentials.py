"""Credentials of the node processes, which the server process writes."""

from __future__ import annotations

import random
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client import kubeconfig
from tiphys.client.client import Client

POLL_SECONDS = 0.05


async def wait_for_client(path: Path, *, clock: Clock, rng: random.Random) -> Client:
    """Return a client with the credentials of a kubeconfig, once the server has written it at its first start."""
    while not path.exists():  # noqa: ASYNC240 (a look at an inode, before anything else runs)
        await clock.sleep(POLL_SECONDS)
    return kubeconfig.load(path, clock=clock, rng=rng)
