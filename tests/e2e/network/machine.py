"""A node and its pods as network namespaces of one test: real links, routes, rules and connections, and nobody else's.

A socket belongs for ever to the namespace in which it was made, so `Space.socket` makes it there and the test's own event loop uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tiphys.aio.tasks import TaskSet

PREFIX = "tph-net-"
RUN = Path("/run/netns")
CLONE_NEWNET = 0x40000000
TIMEOUT = 5.0
RESEND_SECONDS = 0.25
"""Time after which a datagram without an answer is sent again."""
NODE_ADDRESS = "198.51.100.2"
WORLD_ADDRESS = "198.51.100.1"

_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")
Socket = socket.socket  # `Space.socket` hides the module inside its class


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


def switch(name: str, value: str) -> None:
    """Set a network switch of this thread's namespace."""
    Path("/proc/sys/net", name).write_text(value)


def _enter(path: str | Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread, and the programs and threads that it starts, in a network namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(RUN / name)
        yield
    finally:
        _enter(f"/proc/self/fd/{before}")
        os.close(before)


def remove_leftovers() -> None:
    """Remove what runs left behind whose process was killed."""
    for path in RUN.glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            run("ip", "netns", "del", path.name)


class Space:
    """A network namespace."""

    def __init__(self, run_name: str, name: str) -> None:
        self.name = name
        self.full = f"{run_name}-{name}"
        run("ip", "netns", "add", self.full)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> str:
        return run("ip", "-n", self.full, *arguments)

    def make(self, fn: Callable[[], T]) -> T:
        """Call a function in the namespace, in a thread of its own."""

        def call() -> T:
            _enter(RUN / self.full)
            return fn()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()

    def socket(self, kind: int = socket.SOCK_STREAM, *, bind: tuple[str, int] | None = None) -> socket.socket:
        made = self.make(lambda: socket.socket(socket.AF_INET, kind))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bind:
            made.bind(bind)
        return made

    async def get(self, address: str, port: int, *, source: str = "", text: str = "") -> str:
        """Connect, send a text if there is one, and read what the other side says: its name and whom it sees."""
        loop = asyncio.get_running_loop()
        with self.socket(bind=(source, 0) if source else None) as client:
            async with asyncio.timeout(TIMEOUT):
                await loop.sock_connect(client, (address, port))
                await loop.sock_sendall(client, text.encode())
                data = b""
                while part := await loop.sock_recv(client, 4096):
                    data += part
        return data.decode()

    async def name_of(self, address: str, port: int) -> str:
        return (await self.get(address, port)).split()[0]

    async def ask(self, address: str, port: int, *, text: str = "?", client: Socket | None = None) -> str:
        """Send a datagram until it is answered, and return the answer; raises ConnectionRefusedError and TimeoutError.

        Sending again is what every UDP client does: an answer under way when its flow is removed is lost, and so are ICMP errors
        above the kernel's rate limit.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            asking = client or stack.enter_context(self.socket(socket.SOCK_DGRAM))
            if client is None:
                asking.connect((address, port))
            async with asyncio.timeout(TIMEOUT):
                while True:
                    await loop.sock_sendall(asking, text.encode())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RESEND_SECONDS):
                            return (await loop.sock_recv(asking, 4096)).decode()


class Pod(Space):
    """A namespace with an address on a node's bridge, and servers that say who they are."""

    def __init__(self, run_name: str, name: str, tasks: TaskSet, *, address: str, node: Space, bridge: str, gateway: str) -> None:
        super().__init__(run_name, name)
        self.address = address
        self._tasks = tasks
        self._sockets: list[socket.socket] = []
        host_end = f"v{secrets.token_hex(5)}"
        node.ip("link", "add", host_end, "type", "veth", "peer", "name", "eth0", "netns", self.full)
        node.ip("link", "set", host_end, "master", bridge, "up")
        node.ip("link", "set", "dev", host_end, "type", "bridge_slave", "hairpin", "on")
        self.ip("address", "add", f"{address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        self.ip("route", "add", "default", "via", gateway)

    def serve(self, port: int = 8080, *, address: str = "0.0.0.0") -> Pod:
        """Answer TCP connections with this pod's name and the client's address."""
        serve_tcp(self, self._tasks, port, address=address, sockets=self._sockets)
        return self

    def serve_udp(self, port: int = 8080) -> Pod:
        """Answer datagrams with this pod's name and the client's address."""
        server = self.socket(socket.SOCK_DGRAM, bind=("0.0.0.0", port))
        self._sockets.append(server)

        async def answer() -> None:
            loop = asyncio.get_running_loop()
            while True:
                _, client = await loop.sock_recvfrom(server, 4096)
                await loop.sock_sendto(server, f"{self.name} {client[0]}".encode(), client)

        self._tasks.spawn(answer(), name=f"udp {self.name}")
        return self

    def close(self) -> None:
        for made in self._sockets:
            made.close()


def serve_tcp(space: Space, tasks: TaskSet, port: int, *, address: str, sockets: list[socket.socket]) -> None:
    server = space.socket(bind=(address, port))
    server.listen(64)
    sockets.append(server)

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, client = await loop.sock_accept(server)
            with connection, contextlib.suppress(OSError):
                await loop.sock_sendall(connection, f"{space.name} {client[0]}".encode())

    tasks.spawn(accept(), name=f"tcp {space.name}")


class Machine:
    """A node (this process is in it), a world behind its uplink, and pods. `pods` is the beginning of their addresses."""

    def __init__(self) -> None:
        self.run_name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        self.tasks = TaskSet()
        self.node = Space(self.run_name, "node")
        self.world = Space(self.run_name, "world")
        self.made: list[Pod] = []
        self.sockets: list[socket.socket] = []
        self.node.ip("link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.world.full)
        self.node.ip("address", "add", f"{NODE_ADDRESS}/24", "dev", "up0")
        self.node.ip("link", "set", "up0", "up")
        self.node.ip("route", "add", "default", "via", WORLD_ADDRESS)
        self.world.ip("address", "add", f"{WORLD_ADDRESS}/24", "dev", "eth0")
        self.world.ip("link", "set", "eth0", "up")

    def add_bridge(self, name: str, gateway: str) -> None:
        self.node.ip("link", "add", name, "type", "bridge")
        self.node.ip("address", "add", f"{gateway}/24", "dev", name)
        self.node.ip("link", "set", name, "up")

    def add_pod(self, name: str, address: str, bridge: str) -> Pod:
        gateway = f"{address.rpartition('.')[0]}.1"
        pod = Pod(self.run_name, name, self.tasks, address=address, node=self.node, bridge=bridge, gateway=gateway)
        self.made.append(pod)
        return pod

    def serve(self, space: Space, port: int, address: str) -> None:
        """A server on the node or in the world."""
        serve_tcp(space, self.tasks, port, address=address, sockets=self.sockets)

    async def close(self) -> None:
        await self.tasks.close()
        for pod in self.made:
            pod.close()
        for made in self.sockets:
            made.close()

    def remove(self) -> None:
        for path in RUN.glob(f"{self.run_name}-*"):
            run("ip", "netns", "del", path.name)
