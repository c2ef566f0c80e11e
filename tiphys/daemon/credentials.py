"""Credentials of the node processes, which the server process writes."""

from __future__ import annotations

import random
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client import kubeconfig
from tiphys.client.client import Client

POLL_SECONDS = 0.05


async def wait_for_kubeconfig(path: Path, *, clock: Clock) -> None:
    """Wait until the server has written a kubeconfig at its first start, and with it the certificates that the file names."""
    while not path.exists():  # noqa: ASYNC240 (a look at an inode, before anything else runs)
        await clock.sleep(POLL_SECONDS)


async def wait_for_client(path: Path, *, clock: Clock, rng: random.Random) -> Client:
    """Return a client with the credentials of a kubeconfig, once it is there."""
    await wait_for_kubeconfig(path, clock=clock)
    return kubeconfig.load(path, clock=clock, rng=rng)


def client_with_pair(path: Path, pair: Path, *, clock: Clock, rng: random.Random) -> Client:
    """Return a client of the server of a kubeconfig that presents another certificate: `pair` holds it and its key, and is followed."""
    config = kubeconfig.read(path)
    for entry in config.users:
        entry.user = kubeconfig.User(client_certificate=str(pair), client_key=str(pair))
    return Client(kubeconfig.transport(config, folder=path.parent, clock=clock), clock=clock, rng=rng)
