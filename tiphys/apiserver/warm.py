"""Warm-up for the first pod: decoders and rules are compiled from the types when they are first used, in some 80 ms."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import codec
from tiphys.api.machinery.apply import typed
from tiphys.apiserver.verbs import ownership, pipeline

_POD = (
    b'{"metadata":{"name":"a","namespace":"a"},"spec":{"containers":[{"name":"a","image":"a","ports":[{"containerPort":1}],"env":[{"name":"A"}],'
    b'"resources":{"requests":{"cpu":"1"}},"readinessProbe":{"httpGet":{"port":1}},"volumeMounts":[{"name":"a","mountPath":"/a"}]}],'
    b'"volumes":[{"name":"a","emptyDir":{}}],"tolerations":[{"operator":"Exists"}]}}'
)


def warm_up() -> None:
    """Take a pod through the pure steps of a create and an update."""
    kind = SCHEME.of(core.Pod)
    old, new = (codec.decode(core.Pod, _POD, validation="Warn").obj for _ in range(2))
    for pod in (old, new):
        pipeline.default(kind, pod)
        kind.rules.prepare_create(pod)
    new.status.phase = "Running"
    ownership.fields_of_new(kind, new)
    typed.difference(old, new)
    pipeline.validate_new(kind, new)
    kind.rules.validate_status_update(new, old)
