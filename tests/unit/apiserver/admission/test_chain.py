"""The chain itself, and the plugins about namespaces, nodes' taints and roles."""

from __future__ import annotations

import pytest

from tests.unit.apiserver.admission.world import ALICE, KINDS, StepClock, World, make_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden, NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from tiphys.apiserver.admission import AdmissionChain, AdmissionPlugin, AdmissionRequest, NotYet, Operation
from tiphys.apiserver.admission.plugins import default_chain
from tiphys.apiserver.auth.authorizer import AlwaysAllow
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource


class Recorder(AdmissionPlugin):
    def __init__(self, name: str, log: list[str], *, not_yet: int = 0) -> None:
        self.name = name
        self.log = log
        self.not_yet = not_yet

    def handles(self, kind: Kind[core.Pod], operation: Operation, subresource: str) -> bool:
        return kind.type is core.Pod and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        self.log.append(f"{self.name} admits")
        if self.not_yet:
            self.not_yet -= 1
            raise NotYet(NotFound.path(), patience=1.0)

    def validate(self, request: AdmissionRequest) -> None:
        self.log.append(f"{self.name} validates")


def asked(operation: Operation = "CREATE", subresource: str = "") -> AdmissionRequest:
    return AdmissionRequest(
        kind=KINDS[core.Pod], operation=operation, subresource=subresource, namespace="shop", object=make_pod(), user=ALICE,
        source=DictObjectSource(),
    )  # fmt: skip


async def test_order_and_selection() -> None:
    log: list[str] = []
    chain = AdmissionChain([Recorder("a", log), Recorder("b", log)], clock=StepClock())
    await chain.admit(asked())
    await chain.validate(asked())
    assert log == ["a admits", "b admits", "a validates", "b validates"]
    await chain.admit(asked("UPDATE"))
    await chain.admit(asked(subresource="binding"))
    assert len(log) == 4
    assert chain.steps(KINDS[core.Pod], "CREATE") is not None
    assert chain.steps(KINDS[core.Pod], "DELETE") is None
    assert chain.steps(KINDS[core.ConfigMap], "CREATE") is None


async def test_not_yet_is_asked_again() -> None:
    log: list[str] = []
    clock = StepClock()
    await AdmissionChain([Recorder("a", log, not_yet=3), Recorder("b", log)], clock=clock).admit(asked())
    assert log == ["a admits"] * 4 + ["b admits"]
    assert clock.seconds == pytest.approx(0.15)
    with pytest.raises(NotFound):
        await AdmissionChain([Recorder("a", log, not_yet=1000)], clock=clock).admit(asked())


async def test_nothing_is_created_in_a_missing_namespace(world: World) -> None:
    config = core.ConfigMap(metadata=ObjectMeta(name="c", namespace="nowhere"))
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await world.create(config)
    namespace = core.Namespace(metadata=ObjectMeta(name="nowhere"))
    world.clock.on_sleep = lambda seconds: world.source.put(namespace)
    await world.create(config)


async def test_nothing_is_created_in_a_namespace_that_goes_away(world: World) -> None:
    world.source.put(core.Namespace(metadata=ObjectMeta(name="shop"), status=core.NamespaceStatus(phase="Terminating")))
    with pytest.raises(Forbidden) as caught:
        await world.create(core.ConfigMap(metadata=ObjectMeta(name="c", namespace="shop")))
    assert caught.value.message == (
        'configmaps "c" is forbidden: unable to create new content in namespace shop because it is being terminated'
    )
    assert caught.value.details is not None
    [cause] = caught.value.details.causes
    assert (cause.reason, cause.message, cause.field) == (
        "NamespaceTerminating", "namespace shop is being terminated", "metadata.namespace",
    )  # fmt: skip
    await world.delete(core.ConfigMap(metadata=ObjectMeta(name="c", namespace="shop")))


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_immortal_namespaces(world: World, name: str) -> None:
    with pytest.raises(Forbidden, match=f'namespaces "{name}" is forbidden: this namespace may not be deleted'):
        await world.delete(core.Namespace(metadata=ObjectMeta(name=name)))


async def test_other_namespaces_come_and_go(world: World) -> None:
    namespace = core.Namespace(metadata=ObjectMeta(name="kube-node-lease"))
    await world.create(namespace)
    await world.delete(namespace)


async def test_new_nodes_take_no_pods(world: World) -> None:
    node = await world.create(core.Node(metadata=ObjectMeta(name="n1")))
    assert [(taint.key, taint.effect) for taint in node.spec.taints] == [("node.kubernetes.io/not-ready", "NoSchedule")]
    again = await world.create(node)
    assert len(again.spec.taints) == 1


EVERYTHING = PolicyRule(verbs=["*"], apiGroups=["*"], resources=["*"])


async def test_roles_and_bindings_are_checked_for_escalation(world: World) -> None:
    world.source.put(ClusterRole(metadata=ObjectMeta(name="root"), rules=[EVERYTHING]))
    ref = RoleRef(kind="ClusterRole", name="root")
    someone = [Subject(kind="User", name="bob")]
    writes = [
        ClusterRole(metadata=ObjectMeta(name="mine"), rules=[EVERYTHING]),
        Role(metadata=ObjectMeta(name="mine", namespace="shop"), rules=[EVERYTHING]),
        ClusterRoleBinding(metadata=ObjectMeta(name="mine"), roleRef=ref, subjects=someone),
        RoleBinding(metadata=ObjectMeta(name="mine", namespace="shop"), roleRef=ref, subjects=someone),
    ]
    for write in writes:
        with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
            await world.create(write)
        await world.create(write, user=User("root", groups=("system:masters",)))
        await world.update(write, write)


def test_plugins_can_be_switched_off() -> None:
    source = DictObjectSource()
    guard = EscalationGuard(RbacAuthorizer(source), AlwaysAllow())
    chain = default_chain(guard=guard, authorizer=AlwaysAllow(), clock=StepClock(), disabled=["ServiceAccount"])
    assert "ServiceAccount" not in [plugin.name for plugin in chain.plugins]
    assert chain.plugins[-1].name == "RbacEscalation"
    with pytest.raises(ValueError, match='disable-admission-plugins plugin "Nope" is unknown'):
        default_chain(guard=guard, authorizer=AlwaysAllow(), clock=StepClock(), disabled=["Nope"])
