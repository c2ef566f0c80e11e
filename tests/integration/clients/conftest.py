"""A real server with its controllers and a node that plays along, for clients that nobody here wrote."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tiphys.apiserver.server import ApiServer
from tiphys.testing import kubectl
from tiphys.testing.api_server import running_api_server

BIN = Path(sys.executable).parent
CLIENTS = BIN.parent / "clients"
KUBECTLS = {"1.20": CLIENTS / "kubectl-debian", "1.36": CLIENTS / "kubectl-1.36", "1.37": BIN / "kubectl"}
"""kubectl by version; `tools/bootstrap test` puts them there."""


class Kubectl(kubectl.Kubectl):
    """kubectl of one version, and the cluster that it speaks to."""

    def __init__(self, version: str, cluster: Cluster, server: ApiServer) -> None:
        super().__init__(cluster.directory, binary=KUBECTLS[version])
        self.env["KUBECONFIG"] = str(cluster.directory / "admin.kubeconfig")
        self.cluster = cluster
        self.server = server
        self._minor = int(version.partition(".")[2])

    def knows(self, minor: int) -> bool:
        """Return whether it is as new as 1.<minor>, in which something was added to kubectl."""
        return self._minor >= minor


@asynccontextmanager
async def running_cluster(directory: Path) -> AsyncIterator[tuple[ApiServer, Cluster]]:
    """A server behind TLS, its controllers, and a node on which pods run at once."""
    async with running_api_server(directory, listen=True) as (server, client_for):
        cluster = Cluster(client_for, directory)
        async with cluster.controllers(), running_kubelet(cluster):
            yield server, cluster


@pytest.fixture(name="kubectl", params=sorted(KUBECTLS))
async def kubectl_of_each_version(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    """Each kubectl, with a cluster of its own."""
    version: str = request.param
    assert KUBECTLS[version].exists(), f"{KUBECTLS[version]} is missing; `tools/bootstrap test` fetches it"
    async with running_cluster(tmp_path) as (server, cluster):
        yield Kubectl(version, cluster, server)
