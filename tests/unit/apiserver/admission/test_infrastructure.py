"""Classes by default, storage that is in use, runtime classes, rights over owners, and the plugins that are off unless enabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.apiserver.admission.world import ALICE, World, copy, make_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.networking.v1 import Ingress, IngressClass
from tiphys.api.node.v1 import RuntimeClass
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from tiphys.api.storage.v1 import StorageClass, VolumeAttributesClass
from tiphys.apiserver.admission.plugins import UnknownPlugins

START = datetime(2026, 1, 1, tzinfo=UTC)


def default_class(type_: Any, name: str, age: int, annotation: str) -> Any:
    return type_(metadata=ObjectMeta(name=name, creationTimestamp=START - timedelta(seconds=age), annotations={annotation: "true"}))


def claim(**spec: Any) -> core.PersistentVolumeClaim:
    return msgspec.convert({"metadata": {"name": "data", "namespace": "shop"}, "spec": spec}, core.PersistentVolumeClaim)


def ingress(annotations: dict[str, str] | None = None, **spec: Any) -> Ingress:
    return msgspec.convert({"metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}}, "spec": spec}, Ingress)


async def test_the_newest_default_class_is_taken(world: World) -> None:
    assert (await world.create(claim())).spec.storageClassName is None
    for name, age in (("old", 20), ("new-b", 10), ("new-a", 10)):
        world.source.put(default_class(StorageClass, name, age, "storageclass.kubernetes.io/is-default-class"))
        world.source.put(default_class(IngressClass, name, age, "ingressclass.kubernetes.io/is-default-class"))
    world.source.put(StorageClass(metadata=ObjectMeta(name="other", creationTimestamp=START)))
    assert (await world.create(claim())).spec.storageClassName == "new-a"
    assert (await world.create(ingress())).spec.ingressClassName == "new-a"


async def test_objects_with_a_class_keep_it(world: World) -> None:
    world.source.put(default_class(StorageClass, "std", 0, "storageclass.beta.kubernetes.io/is-default-class"))
    world.source.put(default_class(IngressClass, "std", 0, "ingressclass.kubernetes.io/is-default-class"))
    assert (await world.create(claim())).spec.storageClassName == "std"
    assert (await world.create(claim(storageClassName=""))).spec.storageClassName == ""
    annotated = claim()
    annotated.metadata.annotations = {"volume.beta.kubernetes.io/storage-class": "x"}
    assert (await world.create(annotated)).spec.storageClassName is None
    assert (await world.create(ingress(ingressClassName="x"))).spec.ingressClassName == "x"
    assert (await world.create(ingress({"kubernetes.io/ingress.class": "x"}))).spec.ingressClassName is None


async def test_storage_is_protected_from_the_start(world: World) -> None:
    assert (await world.create(claim())).metadata.finalizers == ["kubernetes.io/pvc-protection"]
    volume = core.PersistentVolume(metadata=ObjectMeta(name="v", finalizers=["a.b/c"]))
    assert (await world.create(volume)).metadata.finalizers == ["a.b/c", "kubernetes.io/pv-protection"]
    assert (await world.create(volume)).metadata.finalizers == ["a.b/c", "kubernetes.io/pv-protection"]
    attributes = VolumeAttributesClass(metadata=ObjectMeta(name="v"))
    assert (await world.create(attributes)).metadata.finalizers == ["kubernetes.io/vac-protection"]


async def test_claims_grow_where_the_class_allows_it(world: World) -> None:
    old = claim(storageClassName="std", resources={"requests": {"storage": "1Gi"}})
    new = claim(storageClassName="std", resources={"requests": {"storage": "2Gi"}})
    with pytest.raises(Forbidden, match="Only bound persistent volume claims can be expanded"):
        await world.update(new, old)
    old.status.phase = "Bound"
    with pytest.raises(Forbidden, match="the storageclass that provisions the pvc must support resize"):
        await world.update(new, old)
    world.source.put(StorageClass(metadata=ObjectMeta(name="std"), allowVolumeExpansion=True))
    await world.update(new, old)
    await world.update(old, new)


def runtime(**more: Any) -> RuntimeClass:
    return msgspec.convert({"metadata": {"name": "gv"}, "handler": "runsc", **more}, RuntimeClass)


async def test_overhead_and_places_of_a_runtime_class(world: World) -> None:
    world.source.put(
        runtime(
            overhead={"podFixed": {"cpu": "10m"}},
            scheduling={"nodeSelector": {"gv": "yes"}, "tolerations": [{"key": "gv", "operator": "Exists", "effect": "NoSchedule"}]},
        )
    )
    pod = await world.create(make_pod(runtimeClassName="gv", nodeSelector={"a": "b"}))
    assert pod.spec.overhead == {"cpu": "10m"}
    assert pod.spec.nodeSelector == {"a": "b", "gv": "yes"}
    assert [toleration.key for toleration in pod.spec.tolerations][-1] == "gv"
    with pytest.raises(Forbidden, match=r"conflict: runtimeClass.scheduling.nodeSelector\[gv\] = yes; pod.spec.nodeSelector\[gv\] = no"):
        await world.create(make_pod(runtimeClassName="gv", nodeSelector={"gv": "no"}))
    with pytest.raises(Forbidden, match="pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"):
        await world.create(make_pod(runtimeClassName="gv", overhead={"cpu": "20m"}))
    await world.create(make_pod(runtimeClassName="gv", overhead={"cpu": "10m"}))


async def test_a_toleration_that_another_covers_is_not_repeated(world: World) -> None:
    world.source.put(runtime(scheduling={"tolerations": [{"key": "gv", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]}))
    pod = await world.create(make_pod(runtimeClassName="gv", tolerations=[{"operator": "Exists"}]))
    assert [toleration.operator for toleration in pod.spec.tolerations] == ["Exists"]


async def test_no_class_no_overhead(world: World) -> None:
    said = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    with pytest.raises(Forbidden, match=said):
        await world.create(make_pod(overhead={"cpu": "10m"}))
    world.source.put(runtime())
    with pytest.raises(Forbidden, match=said):
        await world.create(make_pod(runtimeClassName="gv", overhead={"cpu": "10m"}))
    with pytest.raises(Forbidden, match='pods "web" is forbidden: pod rejected: RuntimeClass "none" not found'):
        await world.create(make_pod(runtimeClassName="none"))
    world.clock.on_sleep = lambda _: world.source.put(RuntimeClass(metadata=ObjectMeta(name="late"), handler="h"))
    await world.create(make_pod(runtimeClassName="late"))


def owner(*, blocking: bool = True, kind: str = "ConfigMap", version: str = "v1") -> OwnerReference:
    return OwnerReference(apiVersion=version, kind=kind, name="o", uid="u", blockOwnerDeletion=blocking or None)


def config(*owners: OwnerReference) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name="c", namespace="shop", ownerReferences=list(owners)))


def allow(world: World, verb: str, resource: str) -> None:
    world.source.put(ClusterRole(metadata=ObjectMeta(name=verb), rules=[PolicyRule(verbs=[verb], apiGroups=[""], resources=[resource])]))
    subject = Subject(kind="User", apiGroup="rbac.authorization.k8s.io", name=ALICE.name)
    world.source.put(
        ClusterRoleBinding(
            metadata=ObjectMeta(name=verb), roleRef=RoleRef("rbac.authorization.k8s.io", "ClusterRole", verb), subjects=[subject]
        )
    )


async def test_owners_need_rights(world: World) -> None:
    await world.create(config(owner()))
    strict = World(enabled=("OwnerReferencesPermissionEnforcement",))
    await strict.create(config())
    await strict.create(config(owner(blocking=False)))
    with pytest.raises(Forbidden, match="cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers"):
        await strict.create(config(owner()))
    with pytest.raises(Forbidden, match="cannot find RESTMapping for APIVersion x/v1 Kind Odd"):
        await strict.create(config(owner(kind="Odd", version="x/v1")))
    with pytest.raises(Forbidden, match="cannot set an ownerRef on a resource you can't delete"):
        await strict.update(config(owner(blocking=False)), config())
    allow(strict, "delete", "configmaps")
    await strict.update(config(owner(blocking=False)), config())
    with pytest.raises(Forbidden, match="can't set finalizers on"):
        await strict.update(config(owner()), config(owner(blocking=False)))
    allow(strict, "update", "configmaps/finalizers")
    await strict.update(config(owner()), config(owner(blocking=False)))


async def test_images_are_pulled_always_where_that_is_enabled(world: World) -> None:
    spec = {
        "containers": [{"name": "c", "image": "x", "imagePullPolicy": "Never"}],
        "volumes": [{"name": "v", "image": {"reference": "y"}}],
    }
    assert (await world.create(make_pod(**spec))).spec.containers[0].imagePullPolicy == "Never"
    strict = World(enabled=("AlwaysPullImages",))
    pod = await strict.create(make_pod(**spec))
    assert (pod.spec.containers[0].imagePullPolicy, pod.spec.volumes[0].image.pullPolicy) == ("Always", "Always")
    same, other = copy(make_pod(**spec)), make_pod(containers=[{"name": "c", "image": "z", "imagePullPolicy": "Never"}])
    assert (await strict.update(same, make_pod(**spec))).spec.containers[0].imagePullPolicy == "Never"
    assert (await strict.update(other, make_pod(**spec))).spec.containers[0].imagePullPolicy == "Always"


async def test_special_hardware_is_tolerated_where_that_is_enabled() -> None:
    strict = World(enabled=("ExtendedResourceToleration",))
    requests = {"example.com/gpu": "1", "cpu": "1"}
    pod = await strict.create(make_pod(containers=[{"name": "c", "image": "x", "resources": {"requests": requests}}]))
    assert ("example.com/gpu", "Exists", "NoSchedule") in [(t.key, t.operator, t.effect) for t in pod.spec.tolerations]
    assert "cpu" not in [t.key for t in pod.spec.tolerations]


async def test_external_addresses_are_denied_where_that_is_enabled(world: World) -> None:
    service = core.Service(metadata=ObjectMeta(name="s", namespace="shop"), spec=core.ServiceSpec(externalIPs=["192.0.2.1"]))
    await world.create(service)
    strict = World(enabled=("DenyServiceExternalIPs",))
    with pytest.raises(Forbidden, match="Use of external IPs is denied by admission control"):
        await strict.create(service)
    await strict.update(copy(service), service)
    more = copy(service)
    more.spec.externalIPs.append("192.0.2.2")
    with pytest.raises(Forbidden):
        await strict.update(more, service)


async def test_pods_are_labeled_with_the_place_of_their_node(world: World) -> None:
    zone, region = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
    world.source.put(core.Node(metadata=ObjectMeta(name="n1", labels={zone: "z", region: "r", "kubernetes.io/hostname": "n1"})))
    world.source.put(core.Node(metadata=ObjectMeta(name="n2")))
    pod, placed = make_pod(), make_pod(nodeName="n1")
    pod.metadata.labels = placed.metadata.labels = {"app": "web", zone: "its own"}
    assert (await world.create(copy(pod))).metadata.labels == {"app": "web", zone: "its own"}
    assert (await world.create(copy(placed))).metadata.labels == {"app": "web", zone: "z", region: "r"}
    assert (await world.update(copy(placed), pod, subresource="binding")).metadata.labels == {"app": "web", zone: "z", region: "r"}
    assert (await world.update(copy(placed), placed, subresource="status")).metadata.labels == placed.metadata.labels
    for node in ("n2", "none"):
        assert (await world.create(make_pod(nodeName=node))).metadata.labels == {}


async def test_plugins_can_be_switched_off() -> None:
    lax = World(disabled=("StorageObjectInUseProtection", "RuntimeClass"))
    assert (await lax.create(claim())).metadata.finalizers == []
    await lax.create(make_pod(runtimeClassName="none"))


def test_names_of_plugins_are_checked(world: World) -> None:
    with pytest.raises(UnknownPlugins) as found:
        World(enabled=("Odd", "Priority"), disabled=("Strange", "Priority"))
    assert str(found.value) == (
        'enable-admission-plugins plugin "Odd" is unknown; disable-admission-plugins plugin "Strange" is unknown;'
        " [Priority] in enable-admission-plugins and disable-admission-plugins overlapped"
    )
