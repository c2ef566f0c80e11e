"""Keeper of definitions: serves their kinds, reports in their status, and deletes their objects when they go.

    defined --names accepted--> served, then Established --deleted--> Terminating --its last object gone--> removed

Every server does this for itself; of several that write the same status one wins, and the others see what they would have written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from tiphys.api.apiextensions.custom_resource_definition import CLEANUP
from tiphys.api.apiextensions.v1 import CustomResourceDefinition
from tiphys.api.custom.kinds import CustomKind, is_served, kinds_of
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.scheme import Scheme
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.bootstrap import SELF
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.chain.context import Context, Services
from tiphys.apiserver.chain.routes import RequestInfo
from tiphys.apiserver.crd import conditions
from tiphys.apiserver.verbs.delete import delete_collection
from tiphys.wire.http import Request, Response

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
_JSON = {"content-type": "application/json", "user-agent": "tiphys-apiserver"}
_DELETER = User("system:apiserver", groups=("system:masters", "system:authenticated"))


class Handler(Protocol):
    services: Services

    async def handle(self, request: Request) -> Response: ...


class _Installed(NamedTuple):
    made_from: bytes
    kinds: list[CustomKind]
    served: list[CustomKind]


class Keeper:
    """Keeps the scheme and the storage as the definitions say."""

    def __init__(self, app: Handler, scheme: Scheme, storage: Storage, source: TypedSource, now: Callable[[], datetime]) -> None:
        self._app = app
        self._scheme = scheme
        self._storage = storage
        self._source = source
        self._now = now
        self._definitions = scheme.of(CustomResourceDefinition)
        self._installed: dict[str, _Installed] = {}
        self._dirty: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve established definitions, then follow changes. Raises StoreError."""
        for definition in self._source.objects(CustomResourceDefinition):
            if is_true(definition.status.conditions or (), "Established"):
                await self._install(definition)
            self._touch(definition.metadata.name)
        self._source.on_change(CustomResourceDefinition, self._heard)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="custom-resource-definitions")

    async def stop(self) -> None:
        """Stop following; served kinds stay served."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- what changed ---

    def _touch(self, name: str) -> None:
        self._dirty[name] = None
        self._changed.set()

    def _heard(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        changed = new or old
        assert changed is not None
        self._touch(changed.metadata.name)
        if old is not None and (new is None or new.status.acceptedNames != old.status.acceptedNames):
            # Names may have become free.
            for other in self._source.objects(CustomResourceDefinition):
                if other.spec.group == old.spec.group and other.metadata.name != old.metadata.name:
                    self._touch(other.metadata.name)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._dirty:
                name = next(iter(self._dirty))
                del self._dirty[name]
                try:
                    await self._reconcile(name)
                except Exception:  # Whatever one definition does, the others must go on.
                    log.exception("a custom resource definition cannot be handled", extra={"definition": name})
                    asyncio.get_running_loop().call_later(RETRY_SECONDS, self._touch, name)

    async def _reconcile(self, name: str) -> None:
        definition = self._source.get(CustomResourceDefinition, "", name)
        if definition is None:
            self._uninstall(name)
        elif definition.metadata.deletionTimestamp is not None:
            await self._finish(definition)
        else:
            others = [other for other in self._source.objects(CustomResourceDefinition) if other.metadata.name != name]
            status = conditions.served(definition, others, self._now())
            desired = msgspec.structs.replace(definition, status=status)
            if is_true(desired.status.conditions or (), "Established"):
                await self._install(desired)
            if status != definition.status:
                await self._write(definition, desired, "status")

    async def _write(self, old: CustomResourceDefinition, new: CustomResourceDefinition, subresource: str = "") -> None:
        """Write a definition unless it has changed: then it is looked at again anyway."""
        path = self._definitions.path("", old.metadata.name, subresource)
        response = await self._app.handle(Request("PUT", path, headers=_JSON, body=msgspec.json.encode(new), peer=SELF))
        if response.status >= 400 and response.status not in (404, 409):
            raise RuntimeError(f"PUT {path}: {response.body.decode()}")

    # --- serving ---

    async def _install(self, definition: CustomResourceDefinition) -> None:
        """Serve the kinds of a definition in place of those that it made before."""
        name = definition.metadata.name
        made_from = msgspec.json.encode([definition.metadata.uid, definition.spec, definition.status.acceptedNames])
        before = self._installed.get(name)
        if before is not None and before.made_from == made_from:
            return
        kinds = await self._app.services.aside.run(SELF.common_name, kinds_of, definition)
        if self._is_taken(kinds):
            log.warning("a definition names what is served already", extra={"definition": name})
            return
        served = [kind for kind in kinds if is_served(definition, kind)]
        # From the first of these on nothing waits: no request sees one without the other.
        for kind in kinds:
            await self._storage.add(kind)
        for kind in before.served if before is not None else ():
            self._scheme.remove(kind)
        for kind in served:
            self._scheme.add(kind)
        self._installed[name] = _Installed(made_from, kinds, served)
        self._storage.cache(kinds[0]).subscribe(self._emptying(name))

    def _is_taken(self, kinds: list[CustomKind]) -> bool:
        """Return whether a built-in kind has the place of one of these."""
        for kind in kinds:
            there = (self._scheme.by_resource(kind.group, kind.version, kind.plural), self._scheme.by_gvk(kind.api_version, kind.kind))
            if any(other is not None and other.type.__model__ is None for other in there):
                return True
        return False

    def _uninstall(self, name: str) -> None:
        installation = self._installed.pop(name, None)
        if installation is not None:
            for kind in installation.served:
                self._scheme.remove(kind)
            self._storage.remove(installation.kinds[0])

    # --- the end ---

    def _emptying(self, name: str) -> Callable[[Entry | None, Entry | None], None]:
        def heard(_: Entry | None, new: Entry | None) -> None:
            installation = self._installed.get(name)
            if new is None and installation is not None and installation.kinds[0].type.__model__.terminating:
                self._touch(name)

        return heard

    async def _finish(self, definition: CustomResourceDefinition) -> None:
        """Delete the objects of a definition, and let it go when there are none."""
        if CLEANUP not in definition.metadata.finalizers:
            return
        name = definition.metadata.name
        installation = self._installed.get(name)
        for kind in installation.kinds if installation is not None else ():
            kind.type.__model__.terminating = True
        status = conditions.terminating(definition, self._now())
        if status != definition.status:
            await self._write(definition, msgspec.structs.replace(definition, status=status), "status")
            return  # Its own write comes back through the feed.
        if installation is not None:
            hub = installation.kinds[0]
            cache = self._storage.cache(hub)
            for namespace in sorted({entry.namespace for entry in cache.entries()}):
                await self._delete_all(hub, namespace)
            if len(cache):
                return  # The feed reports each deleted object.
        meta = msgspec.structs.replace(definition.metadata, finalizers=[one for one in definition.metadata.finalizers if one != CLEANUP])
        await self._write(definition, msgspec.structs.replace(definition, metadata=meta))

    async def _delete_all(self, kind: CustomKind, namespace: str) -> None:
        """Delete the objects of a namespace, also of a version that no request can ask for."""
        request = Request("DELETE", kind.path(namespace), headers=_JSON, peer=SELF)
        info = RequestInfo(
            verb="deletecollection",
            path=request.path,
            is_resource=True,
            group=kind.group,
            version=kind.version,
            resource=kind.plural,
            namespace=namespace,
        )
        entries = self._storage.cache(kind).entries(namespace)
        if all(b'"deletionTimestamp":' in entry.data and self._is_going(kind, entry) for entry in entries):
            return
        try:
            await delete_collection(Context(request, info, kind, _DELETER, self._app.services))
        except StatusError as error:
            log.warning("custom objects cannot be deleted", extra={"resource": kind.resource, "error": str(error)})
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._touch, f"{kind.plural}.{kind.group}")

    def _is_going(self, kind: CustomKind, entry: Entry) -> bool:
        obj: Any = self._storage.cache(kind).codec.decode(entry.data)
        return obj.metadata.deletionTimestamp is not None
