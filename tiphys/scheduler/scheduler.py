"""The scheduler: informers feed a snapshot and a queue, a loop decides pod by pod, background tasks write the decisions.

All state comes from the API: a scheduler that starts anew lists nodes and pods and goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import msgspec

from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet, cancel_and_wait
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.policy import v1 as policy
from tiphys.client.client import Client
from tiphys.obs import logging
from tiphys.runtime.informer import InformerFactory
from tiphys.runtime.key import Key
from tiphys.runtime.leader import LeaderElector
from tiphys.runtime.recorder import EventRecorder
from tiphys.scheduler import hints, metrics
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.devices.bind import DeviceBinder, DevicesNotGiven
from tiphys.scheduler.devices.cache import DevicePlan
from tiphys.scheduler.devices.claims import RULE as DEVICES
from tiphys.scheduler.devices.feed import concerns_devices, feed_devices
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.feed import feed_relations
from tiphys.scheduler.preempt import UNDER_WAY, Budget, NoRoom, Room
from tiphys.scheduler.queue import SchedulingQueue, Waiting
from tiphys.scheduler.settings import DEFAULTS, SchedulerSettings
from tiphys.scheduler.slim import NODES, PODS, SlimNode, SlimPod
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo, Reader, is_mine, is_over
from tiphys.scheduler.volumes.bind import VolumeBinder, VolumesNotBound
from tiphys.scheduler.volumes.cache import VolumePlan
from tiphys.scheduler.volumes.claims import BINDING
from tiphys.scheduler.volumes.feed import feed_volumes
from tiphys.scheduler.volumes.hints import volumes_released
from tiphys.scheduler.write import BINDS_AT_ONCE, Writer, is_preempted

log = logging.get_logger(__name__)

SLICE = 0.005
"""Maximum seconds of consecutive decisions before other tasks on the event loop get their turn."""


class Scheduler:
    """Places every pod that names this scheduler. Runs once: make another to run again."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        rng: random.Random,
        elector: LeaderElector | None = None,
        settings: SchedulerSettings = DEFAULTS,
    ) -> None:
        self.name = name = settings.name
        self.cluster = Snapshot()
        self.queue = SchedulingQueue(BackoffPolicy(first=settings.initial_backoff, cap=settings.max_backoff), came=metrics.came)
        self._clock = clock
        self._elector = elector
        self._scheme = client.scheme
        self._reader = Reader()
        self._cycle = Cycle(self.cluster, rng=rng, lap=self._lap, profile=settings.profile)
        self._lapped = 0.0
        self._informers = InformerFactory(client, clock=clock, rng=rng)
        self._nodes = NODES.informer(self._informers, self._scheme)
        self._pods = PODS.informer(self._informers, self._scheme)
        self._recorder = EventRecorder(client, name, clock=clock, rng=rng)
        self._writer = Writer(client, self._recorder, name=name, clock=clock)
        self._volumes = VolumeBinder(client, self.cluster.volumes, labels_of=self._labels_of, timeout=settings.profile.bind_timeout)
        self._devices = DeviceBinder(client, self.cluster.devices, clock=clock)
        self._changed = asyncio.Event()
        self._binding: set[str] = set()
        """Uids of pods whose binding is being written, or is written but not observed yet."""
        self._victims: dict[str, set[str]] = {}
        """Uids of victims by the uid of the pod they make room for."""
        self._budgets: dict[Key, Budget] = {}

    async def run(self) -> None:
        """Schedule until cancelled; with an elector, wait to be elected first (raises LeadershipLost)."""
        try:
            if self._elector is not None:
                await self._elector.run(self._lead)
            else:
                await self._lead()
        finally:
            await self._recorder.close()

    async def _lead(self) -> None:
        feed_relations(self._informers, self.cluster.relations, self._scheme)
        feed_volumes(self._informers, self._scheme, self.cluster.volumes, self._storage_changed)
        feed_devices(self._informers, self._scheme, self.cluster.devices, self._wake)
        metrics.declare(self.queue, self.name)
        self._nodes.subscribe(self._node_changed)
        if any(kind.type is policy.PodDisruptionBudget for kind in self._scheme):
            self._informers.of(policy.PodDisruptionBudget).subscribe(self._budget_changed)
        self._pods.subscribe(self._pod_changed)
        self._informers.start()
        try:
            await self._informers.wait_synced()
            log.info("scheduling", extra={"nodes": len(self.cluster), "pods": len(self._pods)})
            async with TaskSet() as tasks:
                await self._schedule(tasks)
        finally:
            await self._informers.stop()

    # ---- what the informers say -------------------------------------------------------------------------------------------------------

    def _node_changed(self, old: SlimNode | None, new: SlimNode | None) -> None:
        if new is None:
            assert old is not None
            self.cluster.drop_node(old.metadata.name)
            self._volumes.observed()
            self._wake(hints.node_removed, "NodeDelete")
            return
        before = self.cluster.put_node(new)
        after = self.cluster.facts(new.metadata.name)
        assert after is not None
        if before is not after:
            self._volumes.observed()
            hint = hints.node_changed(before, after, self.cluster, self._cycle.volumes)
            self._wake(hint, "NodeAdd" if old is None else "NodeUpdate")

    def _storage_changed(self, hint: hints.Hint | None, event: str) -> None:
        self._volumes.observed()
        self._wake(hint, event)

    def _pod_changed(self, old: SlimPod | None, new: SlimPod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid or is_over(new)):
            self._pod_gone(old)
        if new is None or is_over(new):
            return
        uid = new.metadata.uid
        if new.spec.nodeName:
            self._pod_placed(new)
        elif uid in self._binding:
            return
        elif is_mine(new, self.name):
            self._pod_wants(old, new)
        else:
            self._wants_no_more(uid)

    def _pod_gone(self, pod: SlimPod) -> None:
        uid = pod.metadata.uid
        self._wants_no_more(uid)
        self._binding.discard(uid)
        info = self.cluster.drop_pod(uid)
        if info is not None:
            if info.volumes is not None:
                self._volumes.observed()
            self._wake(hints.pod_removed(info), "AssignedPodDelete")

    def _wants_no_more(self, uid: str) -> None:
        self.queue.remove(uid)
        self._victims.pop(uid, None)
        if self._cycle.nominations.node_of(uid) is not None:
            self._cycle.nominations.drop(uid)
            # The room that was kept for it is for others now.
            self._wake(lambda waiting: True, "AssignedPodDelete")

    def _budget_changed(self, old: policy.PodDisruptionBudget | None, new: policy.PodDisruptionBudget | None) -> None:
        if new is None:
            if old is not None:
                self._budgets.pop(Key.of(old), None)
            return
        try:
            selector = from_label_selector(new.spec.selector)
        except SelectorError:
            return
        disrupted = frozenset(new.status.disruptedPods)
        self._budgets[Key.of(new)] = Budget(new.metadata.namespace, selector, new.status.disruptionsAllowed, disrupted)

    def _pod_placed(self, pod: SlimPod) -> None:
        uid = pod.metadata.uid
        self._wants_no_more(uid)
        self._binding.discard(uid)
        info = self._reader.info(pod)
        if info.volumes is not None:
            self._volumes.observed()
        before = self.cluster.drop_pod(uid) if self.cluster.node_of(uid) != pod.spec.nodeName else None
        known = self.cluster.info_of(uid) or before
        self.cluster.put_pod(info, pod.spec.nodeName)
        self._wake(hints.pod_changed(known, info), "AssignedPodAdd" if known is None else "AssignedPodUpdate")

    def _pod_wants(self, old: SlimPod | None, new: SlimPod) -> None:
        now = self._clock.monotonic()
        info = self._reader.info(new)
        nominated = new.status.nominatedNodeName
        if nominated != (old.status.nominatedNodeName if old is not None else ""):
            # Written by this scheduler, by an earlier leader, or by another client: the API's state counts.
            if nominated:
                self._cycle.nominations.put(info, nominated)
            else:
                self._cycle.nominations.drop(info.uid)
        if new.metadata.uid in self.queue:
            self.queue.update(info, now, helps=old is None or hints.own_change_helps(old, new))
        else:
            self.queue.add(info, now)
        self._changed.set()

    def _wake(self, hint: hints.Hint | None, event: str) -> None:
        if hint is not None:
            self.queue.wake(self._clock.monotonic(), hint, event)
            self._changed.set()

    # ---- deciding ---------------------------------------------------------------------------------------------------------------------

    async def _schedule(self, tasks: TaskSet) -> None:
        slots = asyncio.Semaphore(BINDS_AT_ONCE)
        started = self._clock.monotonic()
        while True:
            self.queue.release(self._clock.monotonic())
            if slots.locked():
                async with slots:
                    started = self._clock.monotonic()
            one = self.queue.pop()
            if one is None:
                await self._rest()
                started = self._clock.monotonic()
                continue
            self._decide(one, tasks, slots)
            if self._clock.monotonic() - started > SLICE:
                await self._clock.sleep(0)
                started = self._clock.monotonic()

    async def _rest(self) -> None:
        """Wait until something changes or is due."""
        self._changed.clear()
        due = self.queue.next_due
        if due is None:
            await self._changed.wait()
            return
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(due - self._clock.monotonic()))
        try:
            await asyncio.wait((changed, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(changed, timer)

    def _decide(self, one: Waiting, tasks: TaskSet, slots: asyncio.Semaphore) -> None:
        info = one.info
        began = self._lapped = self._clock.monotonic()
        if one.first is None:
            one.first = began
        try:
            decision = self._cycle.place(info)
        except Exception:
            log.exception("scheduling of a pod failed", extra={"pod": str(info.key)})
            metrics.ATTEMPTS.labels("error", self.name).inc()
            self.queue.retry(one, self._clock.monotonic())
            return
        seconds = self._clock.monotonic() - began
        metrics.ALGORITHM.labels().observe(seconds)
        result = "unschedulable" if isinstance(decision, Diagnosis) else "scheduled"
        metrics.ATTEMPT_SECONDS.labels(result, self.name).observe(seconds)
        metrics.ATTEMPTS.labels(result, self.name).inc()
        if isinstance(decision, Diagnosis):
            self._reject(one, decision, tasks)
            return
        self._cycle.nominations.drop(info.uid)
        self._victims.pop(info.uid, None)
        plan = self._cycle.plan(info, decision)
        if plan is not None:
            self.cluster.volumes.reserve(info.uid, plan)
        devices = self._cycle.plan_devices(info, decision)
        if devices is not None:
            self.cluster.devices.reserve(info.uid, devices)
        self.cluster.put_pod(info, decision)
        self._binding.add(info.uid)
        tasks.spawn(self._bind(one, decision, plan, devices, slots), name=f"bind {info.key}")

    def _lap(self, point: str, status: str) -> None:
        """Record the end of a part of the decision."""
        now = self._clock.monotonic()
        metrics.spent(point, status, self.name, now - self._lapped)
        self._lapped = now

    def _reject(self, one: Waiting, diagnosis: Diagnosis, tasks: TaskSet) -> None:
        """Handle a pod that fits nowhere: make room if possible, park the pod, and say why."""
        info, nominations = one.info, self._cycle.nominations
        after = ""
        if info.devices is not None and DEVICES in diagnosis.rules and (claim := self._cycle.devices.idle(info, info.devices)) is not None:
            after = "deallocation of ResourceClaim completed"
            tasks.spawn(self._devices.deallocate(info, claim), name=f"deallocate {info.key}")
        elif self._awaits_victims(info):
            after = UNDER_WAY
        elif diagnosis.nodes:
            nominations.drop(info.uid)
            began = self._clock.monotonic()
            room = self._cycle.preempt(info, self._budgets.values())
            status = "Unschedulable" if isinstance(room, NoRoom) else "Success"
            metrics.spent("PostFilter", status, self.name, self._clock.monotonic() - began)
            metrics.PREEMPTIONS.labels().inc()
            if isinstance(room, NoRoom):
                after = room.message
            else:
                for lower in nominations.below(info, room.node):
                    nominations.drop(lower.uid)
                    tasks.spawn(self._writer.unnominate(lower), name=f"unnominate {lower.key}")
                nominations.put(info, room.node)
                metrics.VICTIMS.labels().observe(len(room.victims))
                self._victims[info.uid] = {victim.uid for victim in room.victims}
                tasks.spawn(self._preempt(info, room), name=f"preempt {info.key}")
        self.queue.park(one, self._clock.monotonic(), diagnosis.rules)
        message = msgspec.structs.replace(diagnosis, after=after).message
        nominated = nominations.node_of(info.uid) or ""
        tasks.spawn(self._writer.unschedulable(info, message, nominated), name=f"condition {info.key}")

    def _awaits_victims(self, info: PodInfo) -> bool:
        """Return whether room was made for the pod already but its victims (or other preempted pods) have not left."""
        node = self._cycle.nominations.node_of(info.uid)
        if node is None:
            return False
        victims = self._victims.get(info.uid, ())
        there = self.cluster.pods_on.get(node, {})
        return any(uid in there for uid in victims) or any(
            one.terminating and one.priority < info.priority and is_preempted(one.pod) for one in there.values()
        )

    async def _preempt(self, info: PodInfo, room: Room) -> None:
        if not await self._writer.preempt(info, room):
            # What is left of the victims may be tried again.
            self._victims.pop(info.uid, None)
            self._wake(lambda waiting: waiting.info.template is info.template, "AssignedPodDelete")

    async def _bind(self, one: Waiting, node: str, plan: VolumePlan | None, devices: DevicePlan | None, slots: asyncio.Semaphore) -> None:
        info = one.info
        done, failure = False, ""
        began = self._clock.monotonic()
        try:
            if plan is not None:
                await self._bind_volumes(info, plan, slots)
            async with slots:
                if devices is not None:
                    await self._devices.write(info, devices)
                began = self._clock.monotonic()
                done = await self._writer.bind(info, node)
        except VolumesNotBound as error:
            failure = f'running PreBind plugin "{BINDING}": {error}'
        except DevicesNotGiven as error:
            failure = f'running PreBind plugin "{DEVICES}": {error}'
        except Exception:
            log.exception("binding failed", extra={"pod": str(info.key), "node": node})
        now = self._clock.monotonic()
        if plan is not None and self.cluster.volumes.release(info.uid) and not done:
            self._wake(volumes_released, "AssignedPodDelete")
        if devices is not None:
            await self._settle_devices(info, devices, done=done or bool(failure))
        if not failure:
            metrics.spent("Bind", "Success" if done else "Error", self.name, now - began)
        if done:
            metrics.placed(one.tries + 1, now - (one.first or began))
            self.queue.remove(info.uid)
            return
        waiting = self._forget(one)
        if failure and waiting is not None:
            log.info("pod not bound", extra={"pod": str(info.key), "node": node, "reason": failure})
            await self._writer.failed(waiting, failure)

    async def _bind_volumes(self, info: PodInfo, plan: VolumePlan, slots: asyncio.Semaphore) -> None:
        """Bind the volumes that the pod needs. The wait for others takes no slot. Raises VolumesNotBound."""
        began, status = self._clock.monotonic(), "Error"
        try:
            async with slots:
                await self._writer.nominate(info, plan.node)
                written = await self._volumes.write(plan)
            await self._volumes.wait(plan, written, lambda: info.uid in self._binding)
            status = "Success"
        except VolumesNotBound:
            metrics.VOLUME_ERRORS.labels("bind").inc()
            raise
        finally:
            metrics.spent("PreBind", status, self.name, self._clock.monotonic() - began)

    async def _settle_devices(self, info: PodInfo, plan: DevicePlan, *, done: bool) -> None:
        """Let the claims themselves count for what a decision gave them; take reservations back if the pod was not bound."""
        if not done:
            await self._devices.take_back(info, list(plan.gives))
        self.cluster.devices.release(info.uid)
        self._wake(concerns_devices, "ResourceClaimUpdate")

    def _labels_of(self, node: str) -> Mapping[str, str] | None:
        facts = self.cluster.facts(node)
        return facts.labels if facts is not None else None

    def _forget(self, one: Waiting) -> PodInfo | None:
        """Undo a failed binding: free the place, and requeue the pod, which is returned, unless the informer knows better."""
        uid, key = one.info.uid, one.info.key
        if uid not in self._binding:
            # The informer has spoken since: the pod is bound or gone.
            return None
        self._binding.discard(uid)
        placed = self.cluster.drop_pod(uid)
        if placed is not None:
            self._wake(hints.pod_removed(placed), "AssignedPodDelete")
        now = self._clock.monotonic()
        pod = self._pods.get(key)
        if pod is None or pod.metadata.uid != uid or not is_mine(pod, self.name):
            self.queue.remove(uid)
            return None
        info = self._reader.info(pod)
        self.queue.update(info, now, helps=False)
        self.queue.retry(one, now)
        self._changed.set()
        return info
