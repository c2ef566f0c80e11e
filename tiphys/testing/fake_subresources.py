"""The subresources of the fake API server that are more than a part of their object: scale, binding, eviction, token, finalize."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tiphys.api.authentication.v1 import TokenRequest
from tiphys.api.autoscaling.v1 import Scale, ScaleSpec, ScaleStatus
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base, errors
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import DeleteOptions, ObjectMeta, Status
from tiphys.api.policy.v1 import Eviction
from tiphys.testing.fake_store import copy_of
from tiphys.wire.http import Request, Response

if TYPE_CHECKING:
    from tiphys.testing.fake_api import Call, FakeApi

Handler = Callable[["FakeApi", Kind[Any], "Call", Request], Response]


def _created(obj: msgspec.Struct, code: int = 201) -> Response:
    return Response(status=code, headers={"content-type": "application/json"}, body=msgspec.json.encode(obj))


def bind(api: FakeApi, kind: Kind[Any], call: Call, request: Request) -> Response:
    """Assign a pod to a node, once."""
    binding = msgspec.json.decode(request.body, type=core.Binding)
    pod: core.Pod = copy_of(api.require(kind, call))
    if pod.metadata.deletionTimestamp is not None:
        raise errors.Conflict.object("pods/binding", call.name, f"pod {call.name} is being deleted, cannot be assigned to a host")
    if pod.spec is not None and pod.spec.nodeName:
        raise errors.Conflict.object("pods/binding", call.name, f'pod {call.name} is already assigned to node "{pod.spec.nodeName}"')
    assert pod.spec is not None
    pod.spec.nodeName = binding.target.name
    pod.metadata.annotations.update(binding.metadata.annotations)
    conditions = [condition for condition in pod.status.conditions if condition.type != "PodScheduled"]
    scheduled = core.PodCondition(type="PodScheduled", status="True", lastTransitionTime=base.time(api.clock.now()))
    pod.status.conditions = [*conditions, scheduled]
    api.store.write(kind, pod)
    return _created(Status(status="Success"))


def evict(api: FakeApi, kind: Kind[Any], call: Call, request: Request) -> Response:
    """Delete a pod; disruption budgets are a matter for `FakeApi.react`."""
    eviction = msgspec.json.decode(request.body, type=Eviction)
    api.delete(kind, api.require(kind, call), eviction.deleteOptions or DeleteOptions())
    return _created(Status(status="Success"))


def token(api: FakeApi, kind: Kind[Any], call: Call, request: Request) -> Response:
    """A token that nobody can verify, with the expiry that was asked for."""
    asked = msgspec.json.decode(request.body, type=TokenRequest)
    account = api.require(kind, call)
    asked.status.token = f"fake-token-of-{account.metadata.namespace}-{account.metadata.name}"
    asked.status.expirationTimestamp = base.time(api.clock.now() + timedelta(seconds=asked.spec.expirationSeconds or 3600))
    return _created(asked)


def scale(api: FakeApi, kind: Kind[Any], call: Call, request: Request) -> Response:
    """Read or change spec.replicas through autoscaling/v1 Scale."""
    obj = api.require(kind, call)
    if call.verb == "get":
        return _created(_scale_of(obj), 200)
    document = json.loads(request.body)
    replicas = document.get("spec", {}).get("replicas", 0)
    version = document.get("metadata", {}).get("resourceVersion", "")
    new = copy_of(obj)
    new.metadata.resourceVersion = version
    new.spec.replicas = replicas
    return _created(_scale_of(api.update(kind, new, call._replace(subresource=""))), 200)


def _scale_of(obj: Any) -> Scale:
    from tiphys.api.machinery.selectors import from_label_selector

    meta = obj.metadata
    selector = obj.spec.selector
    text = ",".join(f"{k}={v}" for k, v in selector.items()) if isinstance(selector, dict) else str(from_label_selector(selector))
    return Scale(
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resourceVersion=meta.resourceVersion,
            creationTimestamp=meta.creationTimestamp,
        ),
        spec=ScaleSpec(replicas=obj.spec.replicas if obj.spec.replicas is not None else 1),
        status=ScaleStatus(replicas=obj.status.replicas, selector=text),
    )


def finalize(api: FakeApi, kind: Kind[Any], call: Call, request: Request) -> Response:
    """Replace a namespace's spec.finalizers; the namespace goes when it is being deleted and none is left."""
    asked = api.decode(kind, request.body)
    new = copy_of(api.require(kind, call))
    if asked.metadata.resourceVersion not in ("", new.metadata.resourceVersion):
        raise errors.Conflict.modified(kind.plural, call.name)
    new.spec.finalizers = asked.spec.finalizers
    return _created(api.settle(kind, new), 200)


SUBRESOURCES: dict[tuple[str, str], Handler] = {
    ("pods", "binding"): bind,
    ("pods", "eviction"): evict,
    ("serviceaccounts", "token"): token,
    ("namespaces", "finalize"): finalize,
    ("*", "scale"): scale,
}
