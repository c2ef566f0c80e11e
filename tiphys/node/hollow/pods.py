"""Loop that lets the pods of hollow nodes live: plan and status of a real node, over containers that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.node.hollow.addresses import AddressBook
from tiphys.node.hollow.behavior import LOST
from tiphys.node.hollow.containers import HollowContainers
from tiphys.node.hollow.rules import Rule, behavior_of
from tiphys.node.pod.plan import deadline_left, grace_of, plan_pod
from tiphys.node.pod.status import Facts, Waiting, pod_status
from tiphys.node.pod.status_writer import owned, status_patch
from tiphys.runtime import DONE, ControllerContext, Declaration, Informer, Key, Result, Whole, delete_exact

NODE = "node name"
"""Index: the node of a pod."""
_OVER = ("Succeeded", "Failed")
_DEADLINE = Waiting("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
ADDRESS_SECONDS = 10.0
"""Time after which a pod that got no address asks for one again."""
_ROUNDS = 64
"""Maximum number of plans in one go: a pod takes a few, and one that never settles must not hold up the others."""


class _Life:
    """Life of one pod as this process leads it."""

    def __init__(self, containers: HollowContainers) -> None:
        self.containers = containers
        self.waiting: dict[str, Waiting] = {}
        self.failed: Waiting | None = None
        self.kill_at: float | None = None
        """Moment at which the grace period of the pod is over; None while it is not ending."""
        self.over = False


class HollowPodController:
    """Keeps the status of pods on hollow nodes, and deletes those that have ended their graceful deletion. Keys are pods."""

    declaration = Declaration(name="hollow-kubelet", kind=core.Pod, reads=(Whole(core.Pod), Whole(core.Node)))

    def __init__(self, nodes: dict[str, str], rules: Sequence[Rule]) -> None:
        self._hosts = nodes
        """Address of each hollow node by its name."""
        self._rules = rules
        self._lives: dict[str, _Life] = {}
        self._uids: dict[Key, str] = {}
        self._addresses = AddressBook()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pods: Informer[core.Pod] = ctx.read(core.Pod)
        self._pods.add_index(NODE, lambda pod: (pod.spec.nodeName,) if pod.spec.nodeName in self._hosts else ())
        self._nodes: Informer[core.Node] = ctx.read(core.Node)
        ctx.watch(self._pods, when=self._concerns)
        ctx.watch(self._nodes, self._pods_on, when=lambda old, new: is_lost(old) and not is_lost(new))

    def _concerns(self, old: core.Pod | None, new: core.Pod | None) -> bool:
        return any(pod is not None and pod.spec.nodeName in self._hosts for pod in (old, new))

    def _pods_on(self, node: core.Node) -> Iterable[Key]:
        return [Key.of(pod) for pod in self._pods.by_index(NODE, node.metadata.name)]

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or self._uids.get(key, pod.metadata.uid) != pod.metadata.uid:
            self._forget(key)
        if pod is None or pod.spec.nodeName not in self._hosts:
            return DONE
        node = self._nodes.get(Key("", pod.spec.nodeName))
        if node is None or is_lost(node):
            return DONE
        if pod.status.phase in _OVER and pod.metadata.deletionTimestamp is None:
            self._forget(key)
            return DONE
        try:
            life = self._life(key, pod, node)
        except LookupError as error:
            self._ctx.recorder.event(pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return Result(ADDRESS_SECONDS)
        now = self._ctx.clock.now().timestamp()
        after = self._live(pod, life, now)
        status = self._status(pod, life, now)
        if owned(status) != owned(pod.status) and not await self._write(pod, status):
            return DONE
        if life.over and pod.metadata.deletionTimestamp is not None:
            await delete_exact(self._ctx.client, core.Pod, pod.metadata, grace=0)
            return DONE
        return Result(after)

    # -- what is known of a pod

    def _life(self, key: Key, pod: core.Pod, node: core.Node) -> _Life:
        uid = pod.metadata.uid
        life = self._lives.get(uid)
        if life is None:
            behavior, problem = behavior_of(pod, self._rules)
            if problem:
                self._ctx.recorder.event(pod, "Warning", "InvalidBehavior", problem)
            life = self._lives[uid] = _Life(HollowContainers(pod, behavior, self._address(pod, node)))
            life.over = pod.status.phase in _OVER
            self._uids[key] = uid
        return life

    def _address(self, pod: core.Pod, node: core.Node) -> str:
        if pod.spec.hostNetwork:
            return self._hosts[node.metadata.name]
        if pod.status.phase in _OVER:
            return pod.status.podIP  # Another pod may have it now.
        if pod.status.podIP:
            self._addresses.keep(pod.metadata.uid, pod.status.podIP)
            return pod.status.podIP
        return self._addresses.take(pod.metadata.uid, node.spec.podCIDR)

    def _forget(self, key: Key) -> None:
        uid = self._uids.pop(key, "")
        self._lives.pop(uid, None)
        self._addresses.give_back(uid)

    # -- a step of its life

    def _live(self, pod: core.Pod, life: _Life, now: float) -> float | None:
        """Let time pass for the pod, and take the steps that are due; return the seconds until the next one."""
        life.containers.advance(pod, now)
        if life.over:
            return None
        left = deadline_left(pod, self._ctx.clock.now())
        if left is not None and left <= 0 and life.failed is None:
            life.failed = _DEADLINE
        if pod.metadata.deletionTimestamp is not None or life.failed is not None:
            return self._end(pod, life, now)
        recheck = None
        for _ in range(_ROUNDS):
            plan = plan_pod(
                pod,
                life.containers.observed(),
                hashes={},
                verdicts=life.containers.verdicts(now),
                backoffs=life.containers.backoffs,
                now=now,
            )
            life.waiting = {name: _back_off(pod, name, delay) for name, delay in plan.backing_off.items()}
            if plan.over:
                return self._end(pod, life, now)
            before = life.containers.observed()
            life.containers.apply(plan, pod, now)
            recheck = plan.recheck_in
            if life.containers.observed() == before:
                break
        delays = [delay for delay in (recheck, left, life.containers.next_change(now)) if delay is not None]
        return min(delays, default=None)

    def _end(self, pod: core.Pod, life: _Life, now: float) -> float | None:
        """Stop what runs; the pod is over when nothing does."""
        grace_ends = now + grace_of(pod)
        if life.kill_at is None or grace_ends < life.kill_at:
            life.kill_at = grace_ends
        life.waiting = {}
        life.containers.stop_all(now, max(0.0, life.kill_at - now))
        life.over = not life.containers.observed().running
        return life.containers.next_change(now)

    def _status(self, pod: core.Pod, life: _Life, now: float) -> core.PodStatus:
        facts = Facts(
            seen=life.containers.observed(),
            verdicts=life.containers.verdicts(now),
            waiting=life.waiting,
            host_ips=(self._hosts[pod.spec.nodeName],),
            failed=life.failed,
            over=life.over,
        )
        return pod_status(_probed(pod) if life.containers.behavior.ready else pod, facts, self._ctx.clock.now())

    async def _write(self, pod: core.Pod, status: core.PodStatus) -> bool:
        """Write the status; returns False when the pod is gone, or another one has its name."""
        body = status_patch(pod.metadata.uid, status, pod.status)
        meta = pod.metadata
        try:
            await self._ctx.client.patch(core.Pod, meta.name, meta.namespace, body=body, kind="strategic", subresource="status")
        except (NotFound, Conflict):
            return False
        return True


def is_lost(node: core.Node | None) -> bool:
    """True for a node that is to be silent."""
    return node is not None and node.metadata.annotations.get(LOST) == "true"


def _probed(pod: core.Pod) -> core.Pod:
    """Return the pod with a readiness probe in every container, so that the delay of its behavior counts."""
    probe = core.Probe()
    containers = [
        one if one.readinessProbe is not None else msgspec.structs.replace(one, readinessProbe=probe) for one in pod.spec.containers
    ]
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, containers=containers))


def _back_off(pod: core.Pod, name: str, delay: float) -> Waiting:
    meta = pod.metadata
    whose = f"{meta.name}_{meta.namespace}({meta.uid})"
    return Waiting("CrashLoopBackOff", f"back-off {delay:g}s restarting failed container={name} pod={whose}")
