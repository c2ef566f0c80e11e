"""Admission of pods: service account, token volume, priority, tolerations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.apiserver.admission.world import World, copy, make_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.apiserver.admission.priority import system_priority_classes
from tiphys.apiserver.admission.service_account import MOUNT_PATH


async def test_a_plain_pod(world: World) -> None:
    pod = await world.create(make_pod())
    assert pod.spec.serviceAccountName == pod.spec.serviceAccount == "default"
    [volume] = pod.spec.volumes
    assert volume.name.startswith("kube-api-access-")
    assert len(volume.name) == len("kube-api-access-") + 5
    assert msgspec.to_builtins(volume.projected) == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ],
    }
    [mount] = pod.spec.containers[0].volumeMounts
    assert (mount.name, mount.mountPath, mount.readOnly) == (volume.name, MOUNT_PATH, True)
    assert (pod.spec.priority, pod.spec.preemptionPolicy, pod.spec.priorityClassName) == (0, "PreemptLowerPriority", "")
    assert msgspec.to_builtins(pod.spec.tolerations) == [
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
    ]


async def test_every_container_mounts_the_token_unless_something_is_there(world: World) -> None:
    own = {"name": "c", "volumeMounts": [{"name": "mine", "mountPath": MOUNT_PATH}]}
    pod = await world.create(make_pod(initContainers=[{"name": "i"}], containers=[own, {"name": "d"}]))
    mounted = {c.name: [m.name for m in c.volumeMounts] for c in (*pod.spec.initContainers, *pod.spec.containers)}
    [volume] = pod.spec.volumes
    assert mounted == {"i": [volume.name], "c": ["mine"], "d": [volume.name]}
    full = await world.create(make_pod(containers=[own]))
    assert full.spec.volumes == []


async def test_a_token_volume_that_is_there_is_used(world: World) -> None:
    pod = await world.create(make_pod(volumes=[{"name": "kube-api-access-mine", "emptyDir": {}}]))
    assert [volume.name for volume in pod.spec.volumes] == ["kube-api-access-mine"]
    assert pod.spec.containers[0].volumeMounts[0].name == "kube-api-access-mine"


@pytest.mark.parametrize(("pod", "account", "mounted"), [(None, False, False), (True, False, True), (False, None, False)])
async def test_pod_overrides_its_account_on_mounting_the_token(world: World, pod: bool | None, account: bool | None, mounted: bool) -> None:
    world.source.put(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="shop"), automountServiceAccountToken=account))
    created = await world.create(make_pod(automountServiceAccountToken=pod))
    assert bool(created.spec.volumes) is mounted


async def test_pull_secrets_come_from_the_account(world: World) -> None:
    world.source.put(
        core.ServiceAccount(
            metadata=ObjectMeta(name="puller", namespace="shop"), imagePullSecrets=[core.LocalObjectReference(name="registry")]
        )
    )
    pod = await world.create(make_pod(serviceAccountName="puller"))
    assert [secret.name for secret in pod.spec.imagePullSecrets] == ["registry"]
    own = await world.create(make_pod(serviceAccountName="puller", imagePullSecrets=[{"name": "own"}]))
    assert [secret.name for secret in own.spec.imagePullSecrets] == ["own"]


async def test_a_missing_account(world: World) -> None:
    with pytest.raises(Forbidden) as caught:
        await world.create(make_pod(serviceAccountName="nobody"))
    assert caught.value.message == (
        'pods "web" is forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found'
    )


async def test_the_default_account_of_a_new_namespace_is_waited_for(world: World) -> None:
    account = core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="new"))
    world.source.put(core.Namespace(metadata=ObjectMeta(name="new")))
    pod = make_pod()
    pod.metadata.namespace = "new"
    world.clock.on_sleep = lambda seconds: world.source.put(account) if seconds > 0.5 else None
    created = await world.create(pod)
    assert created.spec.serviceAccountName == "default"
    assert len(created.spec.volumes) == 1


async def test_waiting_for_the_default_account_ends(world: World) -> None:
    world.source.put(core.Namespace(metadata=ObjectMeta(name="new")))
    pod = make_pod()
    pod.metadata.namespace = "new"
    with pytest.raises(Forbidden, match="error looking up service account new/default"):
        await world.create(pod)
    assert 2 <= world.clock.seconds < 3


async def test_mirror_pods_are_left_as_they_are(world: World) -> None:
    pod = make_pod(hostNetwork=True)
    pod.metadata.annotations = {CONFIG_MIRROR: "hash"}
    created = await world.create(copy(pod))
    assert (created.spec.serviceAccountName, created.spec.volumes) == ("", [])
    with pytest.raises(Forbidden, match="a mirror pod may not reference service accounts"):
        await world.create(_mirror(serviceAccountName="default"))
    with pytest.raises(Forbidden, match="a mirror pod may not reference secrets"):
        await world.create(_mirror(volumes=[{"name": "s", "secret": {"secretName": "x"}}]))
    with pytest.raises(Forbidden, match="a mirror pod may not use ServiceAccountToken volume projections"):
        await world.create(_mirror(volumes=[{"name": "s", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]))


def _mirror(**spec: Any) -> core.Pod:
    pod = make_pod(**spec)
    pod.metadata.annotations = {CONFIG_MIRROR: "hash"}
    return pod


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"volumes": [{"name": "v", "secret": {"secretName": "hidden"}}]}, 'volume with secret.secretName="hidden"'),
        (
            {"containers": [{"name": "c", "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k"}}}]}]},
            'container c with envVar E referencing secret.secretName="hidden"',
        ),
        (
            {"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "hidden"}}]}]},
            'init container i with envFrom referencing secret.secretName="hidden"',
        ),
        ({"imagePullSecrets": [{"name": "hidden"}]}, 'imagePullSecrets[0].name="hidden"'),
    ],
)
async def test_accounts_that_restrict_secrets(world: World, spec: dict[str, Any], what: str) -> None:
    account = core.ServiceAccount(
        metadata=ObjectMeta(name="strict", namespace="shop", annotations={"kubernetes.io/enforce-mountable-secrets": "true"}),
        secrets=[core.ObjectReference(name="known")],
    )
    world.source.put(account)
    await world.create(make_pod(serviceAccountName="strict", volumes=[{"name": "v", "secret": {"secretName": "known"}}]))
    with pytest.raises(Forbidden) as caught:
        await world.create(make_pod(serviceAccountName="strict", **spec))
    assert f"{what} is not allowed because service account strict does not reference that" in caught.value.message


def priority_class(name: str, value: int, *, default: bool = False, policy: str | None = None) -> PriorityClass:
    return PriorityClass(metadata=ObjectMeta(name=name), value=value, globalDefault=default, preemptionPolicy=policy)


async def test_priority_of_a_class(world: World) -> None:
    world.source.put(priority_class("high", 1000, policy="Never"))
    pod = await world.create(make_pod(priorityClassName="high"))
    assert (pod.spec.priority, pod.spec.preemptionPolicy) == (1000, "Never")
    same = await world.create(make_pod(priorityClassName="high", priority=1000, preemptionPolicy="Never"))
    assert same.spec.priority == 1000


async def test_the_lowest_default_class_counts(world: World) -> None:
    world.source.put(priority_class("b", 20, default=True))
    world.source.put(priority_class("a", 10, default=True))
    pod = await world.create(make_pod())
    assert (pod.spec.priorityClassName, pod.spec.priority) == ("a", 10)


@pytest.mark.parametrize("name", [item.metadata.name for item in system_priority_classes()])
async def test_system_classes_always_exist(world: World, name: str) -> None:
    pod = await world.create(make_pod(priorityClassName=name))
    assert pod.spec.priority >= 2_000_000_000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        ({"priority": 7}, r"the integer value of priority \(7\) must not be provided in pod spec"),
        ({"preemptionPolicy": "Never"}, r"the string value of PreemptionPolicy \(Never\) must not be provided"),
    ],
)
async def test_rejects_invalid_priorities(world: World, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Forbidden, match=message):
        await world.create(make_pod(**spec))


async def test_updates_need_not_repeat_the_priority(world: World) -> None:
    old = await world.create(make_pod(priorityClassName="system-node-critical"))
    new = copy(old)
    new.spec.priority = new.spec.preemptionPolicy = None
    assert (await world.update(new, old)).spec.priority == 2_000_001_000


async def test_one_default_class_at_most(world: World) -> None:
    world.source.put(priority_class("a", 1, default=True))
    with pytest.raises(Forbidden, match="PriorityClass a is already marked as default"):
        await world.create(priority_class("b", 2, default=True))
    await world.create(priority_class("c", 2))
    await world.update(priority_class("a", 1, default=True), priority_class("a", 1))


@pytest.mark.parametrize(
    ("toleration", "added"),
    [
        ({"operator": "Exists"}, []),
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}, ["node.kubernetes.io/unreachable"]),
        ({"key": "node.kubernetes.io/unreachable", "operator": "Exists"}, ["node.kubernetes.io/not-ready"]),
        (
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"},
            ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"],
        ),
    ],
)
async def test_own_tolerations_stand(world: World, toleration: dict[str, str], added: list[str]) -> None:
    pod = await world.create(make_pod(tolerations=[toleration]))
    assert [item.key for item in pod.spec.tolerations[1:]] == added
