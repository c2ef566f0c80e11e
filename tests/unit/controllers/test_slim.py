"""What controllers keep of an object: every field is one of the whole object's, and their judgement is the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject
from tiphys.controllers.endpoints.backends import backends
from tiphys.controllers.replicaset.plan import rank
from tiphys.controllers.shared.slim import SlimPod

from .make import NOW, pod, slim_pod, whole_pod
from .test_endpoints_plan import service


def _bare(info: Any) -> Any:
    """The type inside lists, options and annotations."""
    while True:
        if isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        elif isinstance(info, msgspec.inspect.ListType):
            info = info.item_type
        elif isinstance(info, msgspec.inspect.UnionType) and len(some := [t for t in info.types if t != msgspec.inspect.NoneType()]) == 1:
            info = some[0]
        else:
            return info


def _strays(slim: Any, whole: Any, path: str) -> Iterator[str]:
    """Fields of a slim type that the whole one does not have, or has as something else."""
    if slim == whole:
        return
    if not (isinstance(slim, msgspec.inspect.StructType) and isinstance(whole, msgspec.inspect.StructType)):
        yield path
        return
    known = {field.encode_name: field.type for field in whole.fields}
    for field in slim.fields:
        here = f"{path}.{field.encode_name}"
        if field.encode_name not in known:
            yield here
        else:
            yield from _strays(_bare(field.type), _bare(known[field.encode_name]), here)


@pytest.mark.parametrize(("slim", "whole"), [(SlimPod, core.Pod)])
def test_slim_types_have_the_fields_of_the_whole_ones(slim: type[KubeObject], whole: type[KubeObject]) -> None:
    assert list(_strays(msgspec.inspect.type_info(slim), msgspec.inspect.type_info(whole), whole.__name__)) == []
    assert (slim().apiVersion, slim().kind) == (whole().apiVersion, whole().kind)


def test_a_slim_pod_is_judged_as_the_whole_one() -> None:
    whole: Any = whole_pod("p", ip="10.42.0.9", restarts=3, cost="7")
    whole.spec.tolerations = [core.Toleration(operator="Exists")]
    whole.spec.containers[0].env = [core.EnvVar(name="A", value="x" * 1000)]
    sidecar = core.Container(
        name="side", restartPolicy="Always", ports=[core.ContainerPort(name="admin", containerPort=9000, protocol="TCP")]
    )
    whole.spec.initContainers = [sidecar, core.Container(name="init")]
    slim = slim_pod(whole)
    assert not hasattr(slim.spec.containers[0], "env")
    assert (slim.metadata, slim.spec.tolerations, slim.spec.nodeName) == (whole.metadata, whole.spec.tolerations, whole.spec.nodeName)
    wanted = service(ports=[core.ServicePort(name=n, port=80, targetPort=n, protocol="TCP") for n in ("http", "admin")])
    shown = [[(b.address, b.ports, b.ready) for b in backends(wanted, [found], "IPv4")] for found in (whole, slim)]
    assert shown[0] == shown[1]
    assert len(shown[0][0][1]) == 2
    other = pod("other", restarts=5, cost="7")
    assert [found.metadata.name for found in rank([slim, other], [], NOW)] == [
        found.metadata.name for found in rank([whole, other], [], NOW)
    ]
