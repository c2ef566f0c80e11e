"""Both neighbors of `node.serve.streaming`: a runtime that speaks SPDY, a front that speaks HTTP, and clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from tiphys.aio.duplex import StreamDuplex, open_duplex
from tiphys.node.serve.streaming import CommandStreams, serve_attach, serve_exec, serve_port_forward
from tiphys.wire import spdy
from tiphys.wire.channels import ChannelData, ChannelReader, ChannelWriter
from tiphys.wire.headers import first, pairs, values
from tiphys.wire.http_upgrade import Answer, AnswerReader, request_head, response_head
from tiphys.wire.websocket import Closed, MessagePiece, PingReceived, PongReceived, WebSocket

SUCCESS = b'{"metadata":{},"status":"Success"}'
Query = dict[str, list[str]]


def streams_of(query: Query) -> CommandStreams:
    """Return the streams that a URL of the Kubernetes API asks for."""
    stdin, stdout, stderr, tty = (query.get(name) in (["true"], ["1"]) for name in ("stdin", "stdout", "stderr", "tty"))
    return CommandStreams(stdin, stdout, stderr, tty)


async def listen(handler: Callable[[StreamDuplex], Awaitable[None]]) -> tuple[asyncio.Server, int, set[asyncio.Task[None]]]:
    tasks: set[asyncio.Task[None]] = set()

    class Accepted(StreamDuplex):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = asyncio.ensure_future(handler(self))
            tasks.add(task)

    server = await asyncio.get_running_loop().create_server(Accepted, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], tasks


async def stop(server: asyncio.Server, tasks: set[asyncio.Task[None]]) -> None:
    server.close()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [r for r in results if isinstance(r, Exception)] == []


async def read_head(duplex: StreamDuplex) -> tuple[str, str, list[tuple[str, str]]] | None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = await duplex.read()
        if not data:
            return None
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    duplex.push_back(rest)
    request, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = request.split(" ")
    return method, target, pairs([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])


class Session:
    """Streams as a program in the fake runtime sees them."""

    def __init__(self, duplex: StreamDuplex) -> None:
        self.duplex = duplex
        self.connection = spdy.SpdyConnection(client=False)
        self.ids: dict[tuple[str, str], int] = {}
        self.inputs: dict[int, asyncio.Queue[bytes | None]] = {}
        self.opened = asyncio.Event()
        self.resets: list[int] = []
        self.exited = False

    async def pump(self) -> None:
        try:
            while data := await self.duplex.read():
                for event in self.connection.receive(data):
                    await self.on(event)
        finally:
            for queue in self.inputs.values():
                queue.put_nowait(None)

    async def on(self, event: spdy.Event) -> None:
        if isinstance(event, spdy.StreamOpened):
            kind = event.header("streamType") or ""
            self.ids[kind, event.header("requestID") or ""] = event.stream_id
            self.inputs[event.stream_id] = asyncio.Queue(maxsize=4)
            await self.duplex.write(self.connection.reply(event.stream_id))
            self.opened.set()
        elif isinstance(event, spdy.DataReceived):
            if not self.exited:
                await self.inputs[event.stream_id].put(event.data)
        elif isinstance(event, spdy.StreamEnded):
            await self.inputs[event.stream_id].put(None)
        elif isinstance(event, spdy.StreamReset):
            self.resets.append(event.stream_id)
        elif isinstance(event, spdy.ReplyDue):
            await self.duplex.write(event.data)

    async def streams(self, count: int) -> None:
        while len(self.ids) < count:
            self.opened.clear()
            await self.opened.wait()

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.ids}

    async def read(self, kind: str, request: str = "") -> bytes | None:
        return await self.inputs[self.ids[kind, request]].get()

    async def write(self, kind: str, data: bytes, request: str = "") -> None:
        await self.duplex.write(self.connection.data(self.ids[kind, request], data))

    async def end(self, kind: str, request: str = "") -> None:
        await self.duplex.write(self.connection.end(self.ids[kind, request]))

    async def exit(self, status: bytes = SUCCESS) -> None:
        """End as containerd does: output ends, the status, resets, GOAWAY, and the connection closes."""
        wire = b"".join(self.connection.end(self.ids[key]) for key in self.ids if key[0] in ("stdout", "stderr"))
        wire += self.connection.data(self.ids["error", ""], status)
        wire += b"".join(self.connection.reset(stream) for stream in self.ids.values())
        await self.duplex.write(wire + self.connection.goaway())


Program = Callable[[Session], Awaitable[None]]


class FakeRuntime:
    """A streaming server like containerd's: upgrade to SPDY, version 4, one program per path."""

    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}
        self.protocols: list[str] = []
        self.accepted = ("v4.channel.k8s.io", "v3.channel.k8s.io", "portforward.k8s.io")
        self.sessions: list[Session] = []
        self.port = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}?token=1"

    async def url_of_main(self, _path: str, _query: Query) -> str:
        return self.url("main")

    async def handle(self, duplex: StreamDuplex) -> None:
        try:
            request = await read_head(duplex)
            assert request is not None
            method, target, headers = request
            assert method == "POST"
            assert first(headers, "upgrade") == "SPDY/3.1"
            program = self.programs.get(urlsplit(target).path.strip("/"))
            offered = values(headers, "X-Stream-Protocol-Version")
            self.protocols = offered
            chosen = next((name for name in offered if name in self.accepted), None)
            if program is None or chosen is None:
                body = b"404 page not found\n"
                await duplex.write(response_head(404, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]) + body)
                return
            head = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", chosen)]
            await duplex.write(response_head(101, head))
            await self.converse(Session(duplex), program)
        finally:
            duplex.close()

    async def converse(self, session: Session, program: Program) -> None:
        self.sessions.append(session)
        pump = asyncio.ensure_future(session.pump())
        try:
            await program(session)
        except ConnectionError:
            pass
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


class Front:
    """The kubelet's HTTP side, and enough of an API server for kubectl: every path `.../exec` and so on is served by `node.streaming`."""

    def __init__(self, runtime_url: Callable[[str, Query], Awaitable[str]]) -> None:
        self.runtime_url = runtime_url
        self.port = 0
        self.idle_timeout = 600.0
        self.upgrades: list[str] = []
        self.finished = 0

    async def handle(self, duplex: StreamDuplex) -> None:
        try:
            while (request := await read_head(duplex)) is not None:
                _method, target, headers = request
                url = urlsplit(target)
                if url.path.rsplit("/", 1)[-1] in ("exec", "attach", "portforward"):
                    await self.stream(duplex, url.path, parse_qs(url.query), headers)
                    return
                await self.answer(duplex, url.path)
        finally:
            duplex.close()

    async def stream(self, duplex: StreamDuplex, path: str, query: Query, headers: list[tuple[str, str]]) -> None:
        self.upgrades.append(first(headers, "upgrade") or "")
        url = await self.runtime_url(path, query)
        if path.endswith("portforward"):
            ports = [int(port) for port in query.get("ports", [])]
            await serve_port_forward(duplex, headers, runtime_url=url, ports=ports, idle_timeout=self.idle_timeout)
        else:
            streams = streams_of(query)
            serve = serve_exec if path.endswith("exec") else serve_attach
            await serve(duplex, headers, runtime_url=url, idle_timeout=self.idle_timeout, streams=streams)
        self.finished += 1

    async def answer(self, duplex: StreamDuplex, path: str) -> None:
        body = json.dumps(RESPONSES.get(path, RESPONSES["404"])).encode()
        head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        await duplex.write(response_head(200 if path in RESPONSES else 404, head) + body)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default", "uid": "1"},
    "spec": {"containers": [{"name": "main", "image": "i", "stdin": True, "tty": True, "ports": [{"containerPort": 80}]}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {}}}]},
}
_PODS = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"], "shortNames": ["po"]}
RESPONSES = {
    "404": {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"},
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [_PODS]},
    "/api/v1/namespaces/default/pods/p": POD,
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
}


class WebSocketClient:
    """A client on the wire: sends channel data, collects what comes back."""

    def __init__(self, duplex: StreamDuplex, protocol: str) -> None:
        self.duplex = duplex
        self.websocket = WebSocket(client=True)
        self.writer = ChannelWriter(protocol, self.websocket)
        self.reader = ChannelReader(protocol)
        self.received: dict[int, bytearray] = {}
        self.closed: int | None = None
        self.pongs: list[bytes] = []

    async def send(self, channel: int, data: bytes) -> None:
        await self.duplex.write(self.writer.data(channel, data))

    async def half_close(self, channel: int) -> None:
        await self.duplex.write(self.writer.close(channel))

    async def step(self) -> bool:
        """Take in what comes next; false at the end of the connection."""
        data = await self.duplex.read()
        for event in self.websocket.receive(data):
            if isinstance(event, MessagePiece):
                for part in self.reader.feed(event):
                    assert isinstance(part, ChannelData)
                    self.received.setdefault(part.channel, bytearray()).extend(part.data)
            elif isinstance(event, PingReceived):
                await self.duplex.write(event.reply)
            elif isinstance(event, PongReceived):
                self.pongs.append(event.payload)
            elif isinstance(event, Closed):
                self.closed = event.code
                await self.duplex.write(event.reply)
        return bool(data)

    async def until(self, channel: int, data: bytes) -> None:
        while data not in self.received.get(channel, b""):
            assert await self.step(), f"connection ended with {self.received}"

    async def until_end(self) -> dict[int, bytearray]:
        while self.closed is None and await self.step():
            pass
        self.duplex.close()
        return self.received


async def request(port: int, target: str, headers: list[tuple[str, str]], method: str = "GET") -> tuple[StreamDuplex, Answer]:
    duplex = await open_duplex("127.0.0.1", port)
    await duplex.write(request_head(method, target, [("Host", "x"), *headers]))
    reader, answer = AnswerReader(), None
    while answer is None:
        data = await duplex.read()
        answer = reader.feed(data) if data else reader.finish()
    if answer.is_upgraded:
        duplex.push_back(answer.rest)
    return duplex, answer


def upgrade_headers(*protocols: str) -> list[tuple[str, str]]:
    head = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    head.append(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    return [*head, *(("Sec-WebSocket-Protocol", protocol) for protocol in protocols)]


class Connect:
    """Opens sessions at the front; closes what a test leaves open."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.opened: list[StreamDuplex] = []

    async def raw(self, target: str, headers: list[tuple[str, str]], method: str = "GET") -> tuple[StreamDuplex, Answer]:
        duplex, answer = await request(self.front.port, target, headers, method)
        self.opened.append(duplex)
        return duplex, answer

    async def websocket(self, target: str, protocol: str) -> WebSocketClient:
        duplex, answer = await self.raw(target, upgrade_headers(*([protocol] if protocol else [])))
        assert answer.is_upgraded, answer
        assert dict(answer.headers).get("sec-websocket-protocol", "") == protocol
        return WebSocketClient(duplex, protocol)

    async def spdy(self, target: str, *protocols: str) -> tuple[StreamDuplex, spdy.SpdyConnection]:
        head = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), *(("X-Stream-Protocol-Version", name) for name in protocols)]
        duplex, answer = await self.raw(target, head, "POST")
        assert answer.is_upgraded, answer
        return duplex, spdy.SpdyConnection(client=True)
