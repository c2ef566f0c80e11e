"""The real API server over objects in memory, in the test's own process: for tests of clients, informers, control loops and operators.

    async with MemoryApi.running(clock=VirtualClock()) as api:
        api.add(node)                                   # as it is, with its status, past admission and validation
        pod = await api.client().create(pod)            # what the server makes of it: defaults, admission, validation, rights
        assert api.get(core.Pod, "web", "default").spec.nodeName == "n1"
        assert [str(call) for call in api.calls if call.writes] == ["create pods default"]

Nothing is left out: authorization, admission, field ownership, custom resources and watches are those of a cluster. With a `VirtualClock`
under `pytest.mark.looptime` hours pass at once. The server starts with the first request, and so in the time of the test, also where a
fixture made it; that takes about ten milliseconds, because the system objects (roles, priority classes, the `kubernetes` Service) are
written by the first server of a process, and those after it begin with a copy of them, as a restarted server does.

`faults` makes requests and watches of the clients fail (`tiphys.testing.faults`), `restart` the server.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import os
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.scheme import Kind, Scheme, converted
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.server import ApiServer
from tiphys.apiserver.settings import ApiServerSettings
from tiphys.apiserver.verbs.pipeline import default
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.daemon import pki
from tiphys.store.contract import Event, KeyExists, KeyValue, StoreClosed
from tiphys.store.memory import MemoryStore
from tiphys.testing.api_server import ADMIN
from tiphys.testing.calls import Call
from tiphys.testing.faults import Faults, FaultyTransport
from tiphys.wire.http import PeerIdentity, Request, Response

T = TypeVar("T", bound=KubeObject)
R = TypeVar("R")

FOUNDED = datetime(2026, 1, 1, tzinfo=UTC)
"""Time of creation of the system objects, whatever time it is for the test."""


class Change(NamedTuple, Generic[T]):
    """A change of an object, as the store wrote it."""

    kind: Literal["create", "update", "delete"]
    object: T
    """State after the change; for a delete, the last state."""


class MemoryApi:
    """An API server and direct access to what it stores; made by `running`."""

    def __init__(self, settings: ApiServerSettings, *, clock: Clock, seed: int = 1) -> None:
        self.clock = clock
        self.rng = random.Random(seed)
        self.store = MemoryStore(clock=clock)
        self.server = ApiServer(settings, self.store, clock=clock, rng=self.rng)
        self.faults = Faults(clock=clock, revision=self.store.current_revision)
        """Faults of all clients that are not given their own."""
        self._settings = settings
        self._starting: asyncio.Task[None] | None = None
        self._stopped = False
        self._oldest = self.store.current_revision()
        self._uids = 0

    @classmethod
    @asynccontextmanager
    async def running(
        cls, *, clock: Clock | None = None, namespaces: Sequence[str] = ("default",), seed: int = 1, **settings: Any
    ) -> AsyncIterator[MemoryApi]:
        """Serve until the end of the block.

        `namespaces` are there with their default service accounts, as control loops would make them; `settings` are fields of
        `ApiServerSettings` that differ from their defaults.
        """
        clock = clock or LoopClock()
        keys = await _keys()
        known = ApiServerSettings(**{**_files(keys), "advertise": "192.0.2.1", **settings})
        api = cls(known, clock=clock, seed=seed)
        await api._fill(await _system_objects(known))
        await api.store.start()
        for name in namespaces:
            api.add_namespace(name)
        try:
            yield api
        finally:
            await api.stop()
            await api.store.close()

    # Clients

    def client(self, name: str = "", *groups: str, user_agent: str = "test", faults: Faults | None = None) -> Client:
        """Return an administrator's client, or that of another user; with `faults` only those happen to it."""
        peer = PeerIdentity(common_name=name, organizations=groups) if name else ADMIN
        transport = FaultyTransport(InProcessTransport(self.handle, peer=peer), faults or self.faults)
        return Client(transport, user_agent=user_agent, clock=self.clock, rng=self.rng)

    async def handle(self, request: Request) -> Response:
        """Answer a request at a state that is at least as new as everything that was added. Raises ConnectionError while stopped."""
        if self._stopped:
            raise ConnectionError("the API server is not running")
        await self.start()
        try:
            await self.server.storage.wait_for(self.store.current_revision())
        except StoreClosed as error:
            raise ConnectionError("the API server is stopping") from error
        return await self.server.app.handle(request)

    @property
    def calls(self) -> builtins.list[Call]:
        """All requests of the clients, in order; clear it to begin anew."""
        return self.faults.calls

    def writes(self) -> builtins.list[Call]:
        """Return the requests of the clients that were not reads."""
        return self.faults.writes()

    # Objects, past the server

    @property
    def scheme(self) -> Scheme:
        """Kinds that are served, custom ones included."""
        return self.server.scheme

    @property
    def revision(self) -> int:
        """Newest revision of the store."""
        return self.store.current_revision()

    def add(self, *objs: KubeObject) -> None:
        """Put copies of objects in place as they are, status included, past admission and validation, in place of what has the same name.

        They get the defaults that all stored objects have, and a uid, a time of creation and a generation if they have none.
        """
        for obj in objs:
            kind = self.scheme.of(type(obj))
            new = msgspec.json.decode(msgspec.json.encode(obj), type=type(obj))
            default(kind, new)
            self._stamp(new, kind)
            if kind.stored is not None:
                new, kind = converted(new, kind, kind.hub), kind.hub
            storage = self.server.storage
            key = storage.key(kind, new.metadata.namespace, new.metadata.name)
            value = storage.cache(kind).codec.encode(new)
            try:
                _at_once(self.store.create(key, value, ttl=kind.ttl(new)))
            except KeyExists:
                _at_once(self.store.update(key, value, expected=self._item(kind, new.metadata.namespace, new.metadata.name).mod_revision))

    def add_namespace(self, name: str) -> None:
        """Put a namespace in place, unless it is there, and its default service account."""
        if self.find(core.Namespace, name) is None:
            labels = {"kubernetes.io/metadata.name": name}
            self.add(
                core.Namespace(
                    metadata=ObjectMeta(name=name, labels=labels, creationTimestamp=base.time(FOUNDED)),
                    spec=core.NamespaceSpec(finalizers=["kubernetes"]),
                    status=core.NamespaceStatus(phase="Active"),
                )
            )
        self.add(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace=name, creationTimestamp=base.time(FOUNDED))))

    def changes(self, type_: type[T], namespace: str = "") -> builtins.list[Change[T]]:
        """Return all changes of objects of a type (in a namespace) in their order, from the beginning or the last `compact` on."""
        kind = self.scheme.of(type_)
        prefix = self._prefix(kind, namespace)
        changes = []
        for event in _at_once(self._events()):
            if event.key.startswith(prefix):
                value = (event.previous or b"") if event.kind == "delete" else event.value
                item = KeyValue(event.key, value, event.create_revision, event.revision)
                changes.append(Change(event.kind, self._decode(kind, item)))
        return changes

    def find(self, type_: type[T], name: str, namespace: str = "") -> T | None:
        """Return an object as it is stored, None when it is not there."""
        try:
            return self.get(type_, name, namespace)
        except KeyError:
            return None

    def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        """Return an object as it is stored; raises KeyError when it is not there."""
        kind = self.scheme.of(type_)
        return self._decode(kind, self._item(kind.hub, namespace, name))

    def list(self, type_: type[T], namespace: str = "") -> builtins.list[T]:
        """Return all objects of a type (in a namespace) as they are stored, by namespace and name."""
        kind = self.scheme.of(type_)
        return [self._decode(kind, item) for item in _at_once(self.store.list(self._prefix(kind, namespace))).items]

    def remove(self, type_: type[KubeObject], name: str, namespace: str = "") -> None:
        """Remove an object at once, finalizers or not; raises KeyError when it is not there."""
        kind = self.scheme.of(type_).hub
        self._item(kind, namespace, name)
        _at_once(self.store.delete(self.server.storage.key(kind, namespace, name)))

    def _prefix(self, kind: Kind[Any], namespace: str) -> str:
        """Return the beginning of the keys of a kind (in a namespace)."""
        storage = self.server.storage
        return storage.key(kind.hub, namespace, "") if namespace else storage.cache(kind.hub).prefix

    async def _events(self) -> Sequence[Event]:
        if self.store.current_revision() == self._oldest:
            return ()
        # The memory store replays its log in one part.
        watch = await self.store.watch("/", after=self._oldest)
        try:
            return await anext(aiter(watch))
        finally:
            watch.close()

    def _item(self, kind: Kind[Any], namespace: str, name: str) -> KeyValue:
        obj = _at_once(self.store.get(self.server.storage.key(kind, namespace, name)))
        if obj is None:
            raise KeyError(f"{kind.kind} {namespace}/{name}")
        return obj

    def _decode(self, kind: Kind[T], item: KeyValue) -> T:
        storage = self.server.storage
        obj: T = storage.cache(kind).codec.decode(storage.entry_of(kind, item).data)
        return obj

    def _stamp(self, new: KubeObject, kind: Kind[Any]) -> None:
        meta = new.metadata
        self._uids += 1
        meta.uid = meta.uid or f"00000000-0000-4000-8000-{self._uids:012d}"
        meta.creationTimestamp = meta.creationTimestamp or base.time(self.clock.now())
        if hasattr(new, "spec"):
            meta.generation = meta.generation or 1

    # The server

    async def start(self) -> None:
        """Start the server, unless it runs; requests do that by themselves, except after `stop`."""
        self._stopped = False
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="api-server-start")
        # Whoever is cancelled while it waits does not stop the start, for which others may wait.
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await self.store.close()
        await self.server.start(listen=False)

    async def stop(self) -> None:
        """Stop the server: open watches end, requests raise ConnectionError. Objects stay, and can be added and read."""
        self._stopped = True
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting
            await self.server.stop(grace=0.1)
            await self.store.start()
            self.server = ApiServer(self._settings, self.store, clock=self.clock, rng=self.rng)

    async def restart(self) -> None:
        """Stop the server and start another one on the same store."""
        await self.stop()
        await self.start()

    async def compact(self) -> None:
        """Forget all history and restart: watches and pages that go on from earlier revisions are answered with 410."""
        await self._forget()
        await self.restart()

    async def _forget(self) -> None:
        self._oldest = self.store.current_revision()
        await self.store.compact(self._oldest)

    async def _fill(self, items: Sequence[tuple[str, bytes]]) -> None:
        await self.store.start()
        for key, value in items:
            await self.store.create(key, value)
        await self._forget()
        await self.store.close()


def _at_once(call: Coroutine[Any, Any, R]) -> R:
    """Return the result of a call of the memory store, which never waits."""
    try:
        call.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    call.close()
    raise RuntimeError("the memory store waits for something")


_PREFIX = "tiphys-testing-"
_memo: dict[Any, Any] = {}
"""Keys and system objects of this process: making them is most of a server's start."""


def _files(keys: pki.Pki) -> dict[str, Any]:
    pair = keys.pair("apiserver")
    return {
        "certificate": pair.cert,
        "key": pair.key,
        "client_ca": keys.ca,
        "front_proxy_ca": keys.directory / "front-proxy-ca.crt",
        "service_account_key": keys.service_account.key,
    }


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


async def _keys() -> pki.Pki:
    if "keys" not in _memo:
        _memo["keys"] = await asyncio.to_thread(_make_keys)
    keys: pki.Pki = _memo["keys"]
    return keys


def _make_keys() -> pki.Pki:
    """Make keys in a directory that goes with this process, or after it was killed with the next one that makes some."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    atexit.register(_remove, directory)
    return pki.ensure(directory, LoopClock().now(), names=pki.Names())


class _Founded(LoopClock):
    def now(self) -> datetime:
        return FOUNDED


async def _system_objects(settings: ApiServerSettings) -> Sequence[tuple[str, bytes]]:
    """Return what a first start with these settings leaves in the store."""
    of = (
        settings.service_range,
        settings.advertise,
        settings.port,
        settings.client_ca,
        settings.front_proxy_ca,
        settings.local_storage,
    )
    known: Sequence[tuple[str, bytes]] | None = _memo.get(of)
    if known is None:
        clock = _Founded()
        store = MemoryStore(clock=clock)
        server = ApiServer(settings, store, clock=clock, rng=random.Random(1))
        await server.start(listen=False)
        known = [(item.key, item.value) for item in (await store.list("/")).items]
        await server.stop(grace=0.1)
        _memo[of] = known
    return known
