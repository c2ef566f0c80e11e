"""LimitRanger: what it fills in and what it refuses, in the API's words."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.apiserver.admission.world import World, copy, make_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta


def limits(*items: dict[str, Any], name: str = "limits", namespace: str = "shop") -> core.LimitRange:
    return msgspec.convert({"metadata": {"name": name, "namespace": namespace}, "spec": {"limits": list(items)}}, core.LimitRange)


def container(name: str = "c", requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


async def test_defaults_fill_what_containers_leave_open(world: World) -> None:
    world.source.put(limits({"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"}, "defaultRequest": {"cpu": "100m"}}))
    pod = await world.create(
        make_pod(containers=[container(requests={"cpu": "50m"})], initContainers=[container("i", limits={"cpu": "2"})])
    )
    [main], [init] = pod.spec.containers, pod.spec.initContainers
    assert (main.resources.requests, main.resources.limits) == ({"cpu": "50m"}, {"cpu": "500m", "memory": "512Mi"})
    assert (init.resources.requests, init.resources.limits) == ({"cpu": "100m"}, {"cpu": "2", "memory": "512Mi"})
    assert pod.metadata.annotations == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory limit for container c; cpu request for init container i; memory limit for init container i"
    }
    assert pod.status.qosClass == "Burstable"


async def test_other_namespaces_are_not_concerned(world: World) -> None:
    world.source.put(limits({"type": "Container", "default": {"cpu": "1"}}, namespace="other"))
    pod = await world.create(make_pod())
    assert not pod.spec.containers[0].resources.limits
    assert not pod.metadata.annotations


@pytest.mark.parametrize(
    ("item", "requests", "caps", "said"),
    [
        ({"type": "Container", "min": {"cpu": "100m"}}, {}, {}, "minimum cpu usage per Container is 100m.  No request is specified"),
        ({"type": "Container", "min": {"cpu": "100m"}}, {"cpu": "50m"}, {}, "minimum cpu usage per Container is 100m, but request is 50m"),
        ({"type": "Container", "min": {"cpu": "100m"}}, {"cpu": "100m"}, {"cpu": "99m"}, "minimum cpu usage per Container is 100m, but limit is 99m"),
        ({"type": "Container", "max": {"memory": "1Gi"}}, {}, {}, "maximum memory usage per Container is 1Gi.  No limit is specified"),
        ({"type": "Container", "max": {"memory": "1Gi"}}, {}, {"memory": "2Gi"}, "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
        ({"type": "Container", "max": {"cpu": "1"}}, {"cpu": "2"}, {"cpu": "1"}, "maximum cpu usage per Container is 1, but request is 2"),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "5"}, "cpu max limit to request ratio per Container is 2, but provided ratio is 5.000000"),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}, {}, {"cpu": "1"}, "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {}, "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"),
        ({"type": "Container", "min": {"cpu": "1", "memory": "1"}}, {}, {}, "[minimum cpu usage per Container is 1.  No request is specified, minimum memory usage per Container is 1.  No request is specified]"),
        ({"type": "Pod", "max": {"cpu": "500m"}}, {"cpu": "300m"}, {"cpu": "300m"}, "maximum cpu usage per Pod is 500m, but limit is 600m"),
    ],
)  # fmt: skip
async def test_bounds(world: World, item: dict[str, Any], requests: dict[str, str], caps: dict[str, str], said: str) -> None:
    world.source.put(limits(item))
    both = [container("a", requests, caps), container("b", requests, caps)]
    with pytest.raises(Forbidden) as caught:
        await world.create(make_pod(containers=both))
    assert caught.value.message == f'pods "web" is forbidden: {said}'


async def test_sidecars_count_with_the_pod_and_other_init_containers_by_their_peak(world: World) -> None:
    world.source.put(limits({"type": "Pod", "max": {"cpu": "3"}}))
    two = container("i", {"cpu": "2"}, {"cpu": "2"})
    sidecar = container("s", {"cpu": "1"}, {"cpu": "1"}, restartPolicy="Always")
    main = container("c", {"cpu": "1"}, {"cpu": "1"})
    await world.create(make_pod(containers=[main], initContainers=[sidecar, two]))
    with pytest.raises(Forbidden, match="maximum cpu usage per Pod is 3, but limit is 4"):
        await world.create(make_pod(containers=[main, {**main, "name": "d"}, {**main, "name": "e"}], initContainers=[sidecar, two]))


async def test_claims(world: World) -> None:
    world.source.put(limits({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "10Gi"}}))

    def claim(size: str) -> core.PersistentVolumeClaim:
        found = core.PersistentVolumeClaim(metadata=ObjectMeta(name="data", namespace="shop"))
        found.spec.resources.requests = {"storage": size}  # type: ignore[dict-item]
        return found

    await world.create(claim("5Gi"))
    with pytest.raises(Forbidden, match="minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"):
        await world.create(claim("500Mi"))
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi"):
        await world.update(claim("11Gi"), claim("5Gi"))


async def test_only_resizes_of_pods_are_looked_at_again(world: World) -> None:
    world.source.put(limits({"type": "Container", "max": {"cpu": "1"}}))
    old = make_pod(containers=[container(limits={"cpu": "2"})])
    await world.update(copy(old), old)
    with pytest.raises(Forbidden, match="but limit is 2"):
        await world.update(copy(old), old, subresource="resize")
