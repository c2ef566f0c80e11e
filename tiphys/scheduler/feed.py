"""Feed of the relations from informers: namespaces, and the owners and Services behind default spreading."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.machinery.selectors import Selector, SelectorError, from_label_selector, from_map
from tiphys.api.meta.v1 import KubeObject
from tiphys.obs.logging import get_logger
from tiphys.runtime.informer import InformerFactory
from tiphys.scheduler.relations import Relations
from tiphys.scheduler.slim import REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from tiphys.scheduler.social import Owner

log = get_logger(__name__)

T = TypeVar("T", bound=KubeObject)
Handler = Callable[[T | None, T | None], None]


def feed_relations(informers: InformerFactory, relations: Relations, scheme: Scheme) -> None:
    """Keep the relations up to date with namespaces, Services and the owners of pods, as far as these kinds are in the scheme."""

    def namespace(old: core.Namespace | None, new: core.Namespace | None) -> None:
        name = _either(old, new).metadata.name
        relations.put_namespace(name, new.metadata.labels if new is not None else None)

    def service(old: core.Service | None, new: core.Service | None) -> None:
        meta = _either(old, new).metadata
        relations.defaults.put_service(meta.namespace, meta.name, new.spec.selector if new is not None else None)

    served = {kind.type for kind in scheme}
    informers.of(core.Namespace).subscribe(namespace)
    informers.of(core.Service).subscribe(service)
    REPLICA_SETS.informer(informers, scheme).subscribe(
        _owners(relations, "apps", "ReplicaSet", lambda one: from_label_selector(one.spec.selector))
    )
    if apps.StatefulSet in served:
        STATEFUL_SETS.informer(informers, scheme).subscribe(
            _owners(relations, "apps", "StatefulSet", lambda one: from_label_selector(one.spec.selector))
        )
    if core.ReplicationController in served:
        REPLICATION_CONTROLLERS.informer(informers, scheme).subscribe(
            _owners(relations, "", "ReplicationController", lambda one: from_map(one.spec.selector))
        )


def _either(old: T | None, new: T | None) -> T:
    one = new if new is not None else old
    assert one is not None
    return one


def _owners(relations: Relations, group: str, kind: str, selector_of: Callable[[T], Selector]) -> Handler[T]:
    def handler(old: T | None, new: T | None) -> None:
        meta = _either(old, new).metadata
        selector = None
        if new is not None:
            try:
                selector = selector_of(new)
            except SelectorError:
                log.warning("selector is not valid", extra={"kind": kind, "object": f"{meta.namespace}/{meta.name}"})
        relations.defaults.put_owner(meta.namespace, Owner(group, kind, meta.name), selector)

    return handler
