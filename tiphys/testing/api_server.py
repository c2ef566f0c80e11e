"""The real API server in-process, for tests of what talks to it: by default no sockets, and state in memory.

async with running_api_server(tmp_path) as (server, client_for):
    client = client_for("system:kube-controller-manager")
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tiphys.aio.clock import Clock, LoopClock
from tiphys.apiserver.server import ApiServer
from tiphys.apiserver.settings import DEFAULTS, ApiServerSettings
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.daemon import pki
from tiphys.settings.network import NETWORK
from tiphys.store.contract import Store
from tiphys.store.memory import MemoryStore
from tiphys.wire.http import PeerIdentity

ADMIN = PeerIdentity(common_name="admin", organizations=("system:masters",))

ClientFor = Callable[..., Client]
"""`client_for()` is an administrator's client; `client_for("name", "group", ...)` somebody else's."""


@asynccontextmanager
async def running_api_server(
    directory: Path,
    *,
    clock: Clock | None = None,
    store: Store | None = None,
    listen: bool = False,
    service_range: str = NETWORK.service_range,
    node_ports: range = NETWORK.node_port_range,
    local_kubelets: Mapping[str, tuple[str, int]] | None = None,
) -> AsyncIterator[tuple[ApiServer, ClientFor]]:
    """A started API server with its files under `directory`, and a maker of clients for any identity.

    With `listen` it serves over TLS on a free port of loopback, too (`server.port`), and `directory/admin.kubeconfig` is there for kubectl.
    `local_kubelets` says where the kubelets of nodes listen on loopback.
    """
    clock, rng = clock or LoopClock(), random.Random(1)
    keys = await asyncio.to_thread(pki.ensure, directory / "pki", clock.now(), names=pki.Names())
    settings = ApiServerSettings(
        # The `kubernetes` Service names the port also where nothing listens, so it must be a number.
        port=0 if listen else DEFAULTS.port,
        advertise="192.0.2.1",
        certificate=keys.pair("apiserver").cert,
        key=keys.pair("apiserver").key,
        client_ca=keys.ca,
        front_proxy_ca=keys.directory / "front-proxy-ca.crt",
        service_account_key=keys.service_account.key,
        service_range=service_range,
        node_ports=node_ports,
        kubelet_certificate=keys.pair("apiserver-kubelet-client").cert if local_kubelets else None,
        kubelet_key=keys.pair("apiserver-kubelet-client").key if local_kubelets else None,
        local_kubelets=local_kubelets or {},
    )
    server = ApiServer(settings, store or MemoryStore(clock=clock), clock=clock, rng=rng)
    await server.start(listen=listen)
    if listen:
        address = f"https://127.0.0.1:{server.port}"
        pki.write_kubeconfig(directory / "admin.kubeconfig", server=address, ca=keys.ca, pair=keys.pair("admin"), user="admin")

    def client_for(name: str = "", *groups: str, user_agent: str = "test") -> Client:
        peer = PeerIdentity(common_name=name, organizations=groups) if name else ADMIN
        return Client(InProcessTransport(server.app.handle, peer=peer), user_agent=user_agent, clock=clock, rng=rng)

    try:
        yield server, client_for
    finally:
        await server.stop(grace=0.1)
