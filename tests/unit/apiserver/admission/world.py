"""One way to put a write before the whole chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.admission import AdmissionChain, AdmissionRequest
from tiphys.apiserver.admission.plugins import default_chain
from tiphys.apiserver.auth.authorizer import AuthorizerChain, Superusers
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource

KINDS: dict[type, Kind[Any]] = {kind.type: kind for kind in SCHEME}
ALICE = User("alice", groups=("system:authenticated",))


class StepClock:
    """Time that passes only by sleeping; `on_sleep` is called before each step."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.on_sleep: Callable[[float], None] = lambda seconds: None

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep(self.seconds)


class World:
    """A cluster's objects and the chain over them."""

    def __init__(self, *, enabled: Collection[str] = (), disabled: Collection[str] = ()) -> None:
        self.source = DictObjectSource(
            core.Namespace(metadata=ObjectMeta(name="shop", uid="ns"), status=core.NamespaceStatus(phase="Active")),
            core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="shop", uid="sa")),
        )
        self.clock = StepClock()
        rbac = RbacAuthorizer(self.source)
        authorizer = AuthorizerChain([Superusers(), rbac])
        self.chain: AdmissionChain = default_chain(
            guard=EscalationGuard(rbac, authorizer), authorizer=authorizer, clock=self.clock, enabled=enabled, disabled=disabled
        )

    async def _run(self, request: AdmissionRequest) -> Any:
        await self.chain.admit(request)
        await self.chain.validate(request)
        return request.object

    def create(
        self, obj: KubeObject, *, user: User = ALICE, on: type | None = None, subresource: str = "", name: str = ""
    ) -> Awaitable[Any]:
        """Admit a create; `on` is the kind in the URL when that is not the object's."""
        meta = obj.metadata
        kind = KINDS[on or type(obj)]
        request = AdmissionRequest(
            kind=kind,
            operation="CREATE",
            subresource=subresource,
            namespace=(meta.namespace or "shop") if kind.namespaced else "",
            name=name or meta.name,
            object=obj,
            user=user,
            source=self.source,
        )
        return self._run(request)

    def update(self, obj: KubeObject, old: KubeObject, *, user: User = ALICE, subresource: str = "") -> Awaitable[Any]:
        request = AdmissionRequest(
            kind=KINDS[type(obj)],
            operation="UPDATE",
            subresource=subresource,
            namespace=old.metadata.namespace,
            name=old.metadata.name,
            object=obj,
            old_object=old,
            user=user,
            source=self.source,
        )
        return self._run(request)

    def delete(self, obj: KubeObject, *, user: User = ALICE) -> Awaitable[Any]:
        meta = obj.metadata
        request = AdmissionRequest(
            kind=KINDS[type(obj)],
            operation="DELETE",
            namespace=meta.namespace,
            name=meta.name,
            old_object=obj,
            user=user,
            source=self.source,
        )
        return self._run(request)


def make_pod(**spec: Any) -> core.Pod:
    """A pod of one container in the namespace shop."""
    document = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}
    return msgspec.convert(document, core.Pod)


def copy(obj: Any) -> Any:
    return msgspec.convert(msgspec.to_builtins(obj), type(obj))
