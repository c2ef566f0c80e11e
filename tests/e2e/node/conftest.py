from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.node.caller import Caller
from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine, running_machine
from tiphys.daemon import pki


@pytest.fixture(scope="session")
def node_machine() -> Iterator[Machine]:
    """A running containerd with the pause and busybox images, purged at the end."""
    with running_machine() as running:
        yield running


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    """A kubelet on real containers, with an API server in memory. Nothing is left behind on the machine when it ends."""
    async with Node.running(node_machine, tmp_path) as made:
        yield made


@pytest.fixture
async def served(node_machine: Machine, tmp_path: Path) -> AsyncIterator[tuple[Node, Caller]]:
    directory = tmp_path / "pki"
    pki.ensure(directory, datetime.now(UTC), names=pki.Names(host="localhost"), nodes=["n1"])
    options = {
        "tls_cert": directory / "kubelet-server.crt",
        "tls_key": directory / "kubelet-server.key",
        "client_ca": directory / "ca.crt",
        "bind": "127.0.0.1",
        "port": 0,
    }
    async with Node.running(node_machine, tmp_path, **options) as node:
        assert node.kubelet is not None
        assert node.kubelet.server is not None
        caller = Caller(directory, node.kubelet.server.port)
        try:
            yield node, caller
        finally:
            await caller.session.close()
