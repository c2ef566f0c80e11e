"""A real server with its controllers and a node that plays along, for clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tiphys.apiserver.server import ApiServer
from tiphys.testing.api_server import running_api_server

BIN = Path(sys.executable).parent
CLIENTS = BIN.parent / "clients"
KUBECTLS = {"1.20": CLIENTS / "kubectl-debian", "1.36": CLIENTS / "kubectl-1.36", "1.37": BIN / "kubectl"}
"""kubectl by version; `tools/bootstrap test` puts them there."""
TIMEOUT = 60.0


@dataclass(slots=True)
class Said:
    """What a command printed."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Kubectl:
    """A kubectl of one version that speaks to one server."""

    version: tuple[int, int]
    binary: Path
    home: Path
    cluster: Cluster
    server: ApiServer
    env: dict[str, str] = field(default_factory=dict)

    def knows(self, minor: int) -> bool:
        """Whether it is as new as 1.<minor>, in which something was added to kubectl."""
        return self.version >= (1, minor)

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        """The command, running."""
        env = {**os.environ, "KUBECONFIG": str(self.home / "admin.kubeconfig"), "HOME": str(self.home), "TZ": "UTC", **self.env}
        env["KUBECACHEDIR"] = str(self.home / "cache")
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(self.binary, *args, env=env, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.home)

    async def run(self, *args: str, stdin: str = "") -> Said:
        process = await self.start(*args)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), TIMEOUT)
        return Said(out.decode(), err.decode(), process.returncode or 0)

    async def __call__(self, line: str, *args: str, stdin: str = "") -> str:
        """What the command prints; it must succeed. `line` is split at blanks, `args` are not."""
        said = await self.run(*line.split(), *args, stdin=stdin)
        assert said.code == 0, f"kubectl {line} {args}: {said.code}\n{said.out}{said.err}"
        return said.out

    async def fails(self, line: str, *args: str, stdin: str = "") -> str:
        """What the command complains about; it must fail."""
        said = await self.run(*line.split(), *args, stdin=stdin)
        assert said.code != 0, f"kubectl {line} {args} succeeded\n{said.out}"
        return said.err

    async def json(self, line: str, *args: str) -> Any:
        return json.loads(await self(f"{line} -o json", *args))


@asynccontextmanager
async def running_cluster(directory: Path) -> AsyncIterator[tuple[ApiServer, Cluster]]:
    """A server behind TLS, its controllers, and a node on which pods run at once."""
    async with running_api_server(directory, listen=True) as (server, client_for):
        cluster = Cluster(client_for, directory)
        async with cluster.controllers(), running_kubelet(cluster):
            yield server, cluster


@pytest.fixture(params=sorted(KUBECTLS))
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    """Each kubectl, with a cluster of its own."""
    version: str = request.param
    assert KUBECTLS[version].exists(), f"{KUBECTLS[version]} is missing; `tools/bootstrap test` fetches it"
    major, minor = version.split(".")
    async with running_cluster(tmp_path) as (server, cluster):
        yield Kubectl((int(major), int(minor)), KUBECTLS[version], tmp_path, cluster, server)
