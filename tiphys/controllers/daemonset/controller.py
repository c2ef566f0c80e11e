"""The DaemonSet controller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.daemon_set import default_daemon_set
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import condition
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.daemonset.placement import Placement, daemon_pod, template_generation
from tiphys.controllers.daemonset.plan import BURST, Observation, Plan, Removal, by_node, plan
from tiphys.controllers.daemonset.retries import Retries
from tiphys.controllers.daemonset.status import status
from tiphys.controllers.shared.batches import all_at_once, slow_start
from tiphys.controllers.shared.claim import claim, index_orphans
from tiphys.controllers.shared.doubts import Doubts
from tiphys.controllers.shared.history import forget, record
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.pods import Deletions, create_owned, delete_owned
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.revisions import HASH_LABEL, choose, excess, revision_data
from tiphys.controllers.shared.selecting import report_everything, selects, workload_selector
from tiphys.controllers.shared.slim import PODS, SlimPod, SlimPodSpec
from tiphys.runtime import (
    DONE,
    ControllerContext,
    Declaration,
    Key,
    Result,
    Whole,
    controller_of,
    index_owners,
    to_owner,
    write_status,
)

Version = tuple[str, int]
"""Uid and generation of a DaemonSet."""


class _Applied(NamedTuple):
    """Pods that a step created, by node, and the first error."""

    created: dict[str, SlimPod]
    error: Exception | None


class DaemonSetController:
    """Keeps one pod on every node that fits. A look at a DaemonSet costs time in proportion to the nodes, so large ones are paced."""

    declaration = Declaration(
        name="daemonset",
        kind=apps.DaemonSet,
        roles=("daemon-set-controller",),
        reads=(Whole(apps.DaemonSet), Whole(apps.ControllerRevision), Whole(core.Node), PODS),
    )

    def __init__(self) -> None:
        self._deletions = Deletions()
        self._doubts = Doubts()
        self._retries = Retries()
        self._placements: dict[Key, tuple[Version, Placement]] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._sets = ctx.read(apps.DaemonSet)
        self._nodes = ctx.read(core.Node)
        self._pods = index_orphans(index_owners(ctx.read(SlimPod)))
        self._revisions = index_orphans(index_owners(ctx.read(apps.ControllerRevision)))
        self._to_owner = to_owner("DaemonSet", "apps")
        ctx.watch(self._sets)
        ctx.watch(self._pods, self._keys, when=lambda old, new: old is None or new is None or _facts(old) != _facts(new))
        # A new revision that has its owner already tells its owner nothing.
        ctx.watch(self._revisions, self._keys, when=lambda old, new: old is not None or (new is not None and controller_of(new) is None))
        self._nodes.subscribe(self._on_node)

    def _keys(self, obj: SlimPod | apps.ControllerRevision) -> Iterable[Key]:
        if controller_of(obj) is not None:
            return self._to_owner(obj)
        if not obj.metadata.labels:
            return ()
        return [Key.of(candidate) for candidate in self._sets.list(obj.metadata.namespace) if selects(candidate.spec.selector, obj)]

    def _on_node(self, old: core.Node | None, new: core.Node | None) -> None:
        """Enqueue the DaemonSets for which a node now is another one than before: heartbeats concern none, and labels few."""
        if old is not None and new is not None and old.metadata.labels == new.metadata.labels and old.spec.taints == new.spec.taints:
            return
        for daemon_set in self._sets.list():
            if old is not None and new is not None:
                placement = self._placement(daemon_set)
                if placement.fit(old) is placement.fit(new):
                    continue
            self._ctx.enqueue(Key.of(daemon_set))

    def _placement(self, daemon_set: apps.DaemonSet) -> Placement:
        key, version = Key.of(daemon_set), _version(daemon_set)
        known = self._placements.get(key)
        if known is None or known[0] != version:
            known = self._placements[key] = (version, Placement(daemon_set.spec.template))
        return known[1]

    async def reconcile(self, key: Key) -> Result:
        daemon_set = self._sets.get(key)
        if daemon_set is None:
            self._forget(key)
            return DONE
        if daemon_set.metadata.deletionTimestamp is not None:
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        selector = workload_selector(daemon_set.spec.selector)
        if selector.nothing:
            report_everything(self._ctx.recorder, daemon_set, "daemon set")
            return DONE
        try:
            revisions = await claim(self._ctx.client, daemon_set, selector, self._revisions)
            pods = await claim(self._ctx.client, daemon_set, selector, self._pods)
            pods = await self._doubts.settle(self._ctx.client, daemon_set, selector, self._pods, pods)
        except NotFound:
            return DONE
        return await self._step(key, daemon_set, revisions, pods)

    def _forget(self, key: Key) -> None:
        self._deletions.forget(key)
        self._doubts.forget(key)
        self._retries.forget(key)
        self._pacer.forget(key)
        self._placements.pop(key, None)

    async def _step(self, key: Key, daemon_set: apps.DaemonSet, revisions: list[apps.ControllerRevision], pods: list[SlimPod]) -> Result:
        data = revision_data(daemon_set)
        choice = choose(daemon_set, revisions, data, default_daemon_set)
        recorded = await record(self._ctx.client, daemon_set, choice, data)
        pods = await self._merge(recorded.revision, revisions, pods)
        started, version = self._ctx.clock.monotonic(), _version(daemon_set)
        with self._pacer.measure(key):
            seen = self._observe(key, daemon_set, pods, _hash(recorded.revision))
            step = plan(daemon_set, seen, lambda node: self._retries.wait(key, version, node, started))
        created, error = await self._apply(key, daemon_set, step, seen.revision)
        with self._pacer.measure(key):
            desired = status(daemon_set, seen, created, recorded.collisions)
        await write_status(self._ctx.client, daemon_set, desired)
        if error is not None:
            raise error
        await self._shorten(daemon_set, recorded.revision, revisions, pods)
        if BURST in (len(step.create), len(step.delete) + len(step.replace)):
            return Result(0.0)
        return Result(step.after)

    def _observe(self, key: Key, daemon_set: apps.DaemonSet, pods: list[SlimPod], revision: str) -> Observation:
        placement = self._placement(daemon_set)
        fits = {node.metadata.name: placement.fit(node) for node in self._nodes.list()}
        deleted = self._deletions.unseen(key, pods)
        generation = template_generation(daemon_set)
        return Observation(fits, by_node(pods, deleted), deleted, revision, generation, self._ctx.clock.now())

    async def _merge(
        self, current: apps.ControllerRevision, revisions: list[apps.ControllerRevision], pods: list[SlimPod]
    ) -> list[SlimPod]:
        """Merge revisions with equal data into the current one; returns the pods with its hash in place of theirs."""
        double = [one for one in revisions if one.metadata.uid != current.metadata.uid and one.data == current.data]
        if not double:
            return pods
        hashes, label = {_hash(one) for one in double}, {HASH_LABEL: _hash(current)}
        result = []
        for pod in pods:
            meta = pod.metadata
            if meta.labels.get(HASH_LABEL) in hashes:
                body = {"metadata": {"uid": meta.uid, "labels": label}}
                pod = await self._ctx.client.patch(self._pods.kind, meta.name, meta.namespace, body=body)
            result.append(pod)
        await forget(self._ctx.client, double)
        return result

    async def _apply(self, key: Key, daemon_set: apps.DaemonSet, step: Plan, revision: str) -> _Applied:
        created: dict[str, SlimPod] = {}
        nodes = iter(step.create)

        async def create() -> None:
            node = next(nodes)
            try:
                pod = await create_owned(self._ctx, daemon_set, daemon_pod(daemon_set, node, revision))
            except Exception as error:
                self._doubts.note(key, error)
                raise
            created[node] = SlimPod(metadata=pod.metadata, spec=SlimPodSpec(nodeName=pod.spec.nodeName))

        async def delete(removal: Removal) -> None:
            await self._delete(key, daemon_set, removal)

        # Room is births first: desired pods and surge are then the most that there are at any time.
        gone = await all_at_once(step.delete, delete)
        births = await slow_start(len(step.create), create)
        # While pods cannot be created, those that work are left alone.
        replaced = await all_at_once([] if births.error is not None else step.replace, delete)
        errors = [one.error for one in (births, gone, replaced) if one.error is not None and not namespace_ends(one.error)]
        return _Applied(created, errors[0] if errors else None)

    async def _delete(self, key: Key, daemon_set: apps.DaemonSet, removal: Removal) -> None:
        pod, node, cause, unchanged = removal
        meta = pod.metadata
        if cause == "failed":
            message = f"Found failed daemon pod {meta.namespace}/{meta.name} on node {node}, will try to kill it"
            self._ctx.recorder.event(daemon_set, "Warning", "FailedDaemonPod", message)
            self._retries.record(key, _version(daemon_set), node, self._ctx.clock.monotonic())
        elif cause == "succeeded":
            message = f"Found succeeded daemon pod {meta.namespace}/{meta.name} on node {node}, will try to delete it"
            self._ctx.recorder.event(daemon_set, "Normal", "SucceededDaemonPod", message)
        await delete_owned(self._ctx, daemon_set, meta, unchanged=unchanged)
        self._deletions.add(key, meta.uid)

    async def _shorten(
        self, daemon_set: apps.DaemonSet, current: apps.ControllerRevision, revisions: list[apps.ControllerRevision], pods: list[SlimPod]
    ) -> None:
        """Delete the oldest revisions beyond the limit that no pod is of."""
        limit = daemon_set.spec.revisionHistoryLimit
        former = [one for one in revisions if one.metadata.uid != current.metadata.uid]
        if limit is None or len(former) <= limit:
            return
        used = {pod.metadata.labels.get(HASH_LABEL) for pod in pods}
        live = {one.metadata.name for one in former if _hash(one) in used}
        await forget(self._ctx.client, excess(former, live, limit, live_count=True))


def _version(daemon_set: apps.DaemonSet) -> Version:
    return daemon_set.metadata.uid, daemon_set.metadata.generation


def _hash(revision: apps.ControllerRevision) -> str:
    return revision.metadata.labels.get(HASH_LABEL) or revision.metadata.name


def _facts(pod: SlimPod) -> object:
    """Return what a DaemonSet depends on of its pod."""
    meta = pod.metadata
    going = meta.deletionTimestamp is not None
    return meta.uid, going, meta.labels, meta.ownerReferences, pod.status.phase, pod.spec.nodeName, condition(pod, "Ready")
