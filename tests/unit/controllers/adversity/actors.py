"""Kubelets and users, who act on the server directly: no faults happen to them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.unit.controllers.make import whole_pod
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import is_finished
from tiphys.api.helpers.pods import is_active, is_ready
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.testing.memory_api import MemoryApi

Change = Callable[[Client, random.Random], Awaitable[object]]
"""Act of a user."""
Act = Callable[[MemoryApi, random.Random], None]
"""Acts of kubelets, of which some are done now and then."""


def serves(pod: core.Pod) -> bool:
    """Return whether a pod is active and ready."""
    return is_active(pod) and is_ready(pod)


def target(pod: core.Pod) -> str:
    """Return the node that a pod is on or made for, the first one if it may be anywhere."""
    affinity = pod.spec.affinity
    required = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution if affinity and affinity.nodeAffinity else None
    return pod.spec.nodeName or (required.nodeSelectorTerms[0].matchFields[0].values[0] if required else "n0")


def image_of(obj: Any) -> str:
    """Return the image of a pod, or of the template of a workload."""
    spec = obj.spec if isinstance(obj, core.Pod) else obj.spec.template.spec
    return str(spec.containers[0].image)


def run_pods(api: MemoryApi, rng: random.Random) -> None:
    """Bind pods, start them, end those that are not restarted, and remove those that are deleted: half of them at a time."""
    now = base.time(api.clock.now())
    for pod in api.list(core.Pod, "default"):
        if rng.random() < 0.5:
            continue
        if pod.metadata.deletionTimestamp is not None:
            api.remove(core.Pod, pod.metadata.name, "default")
        elif not pod.spec.nodeName:
            pod.spec.nodeName = target(pod)
            api.add(pod)
        elif pod.status.phase in ("", "Pending"):
            pod.status.phase = "Running"
            pod.status.conditions = [core.PodCondition(type="Ready", status="True", lastTransitionTime=now)]
            api.add(pod)
        elif pod.spec.restartPolicy == "Never" and pod.status.phase == "Running":
            pod.status.phase = "Succeeded"
            pod.status.conditions = []
            api.add(pod)


def end_jobs(api: MemoryApi, rng: random.Random) -> None:
    """Let Jobs complete, each with a chance of one in ten."""
    now = base.time(api.clock.now())
    for job in api.list(batch.Job, "default"):
        if not is_finished(job.status) and rng.random() < 0.1:
            types = ("SuccessCriteriaMet", "Complete")
            job.status.conditions = [batch.JobCondition(type=type_, status="True", lastTransitionTime=now) for type_ in types]
            job.status.startTime, job.status.completionTime = job.metadata.creationTimestamp, now
            api.add(job)


def nothing(api: MemoryApi, rng: random.Random) -> None:
    """Do nothing."""


def patch(type_: type[KubeObject], body: dict[str, object], name: str = "web") -> Change:
    """Return a change of an object, by a strategic patch."""
    return lambda client, rng: client.patch(type_, name, "default", body=body, kind="strategic")


def use_image(type_: type[KubeObject], image: str) -> Change:
    """Return a change of a workload's template."""
    return patch(type_, {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})


def scale(type_: type[KubeObject], replicas: int) -> Change:
    """Return a change of a workload's size."""
    return patch(type_, {"spec": {"replicas": replicas}})


def touch(type_: type[KubeObject], value: str, name: str = "web") -> Change:
    """Return a change that concerns nobody, but wakes the loop."""
    return patch(type_, {"metadata": {"labels": {"turn": value}}}, name)


def remove(type_: type[KubeObject], name: str) -> Change:
    """Return the deletion of an object, which may be gone already."""

    async def change(client: Client, rng: random.Random) -> None:
        with suppress(NotFound):
            await client.delete(type_, name, "default", grace=0)

    return change


async def remove_some_pod(client: Client, rng: random.Random) -> None:
    """Delete a pod at random."""
    pods = (await client.list(core.Pod, "default")).items
    if pods:
        await remove(core.Pod, rng.choice(pods).metadata.name)(client, rng)


def backend(name: str, number: int) -> core.Pod:
    """Return a pod with an address that runs, as its kubelet reports it."""
    pod = whole_pod(name, ip=f"10.42.0.{number}")
    pod.metadata.uid = ""
    return pod


def add(obj: KubeObject) -> Change:
    """Return the creation of an object, which may still be there."""

    async def change(client: Client, rng: random.Random) -> None:
        with suppress(AlreadyExists):
            await client.create(obj)

    return change


async def free_volumes(client: Client, rng: random.Random) -> None:
    """Let volumes that were released be bound again."""
    for volume in (await client.list(core.PersistentVolume)).items:
        if volume.status.phase == "Released":
            await client.patch(core.PersistentVolume, volume.metadata.name, body={"spec": {"claimRef": None}})
