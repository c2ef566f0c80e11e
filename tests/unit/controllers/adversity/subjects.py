"""Loops that create objects, as data: what they are given, what a user changes, when they are done, and the bounds that hold meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.unit.controllers.adversity.actors import (
    Act,
    Change,
    add,
    backend,
    end_jobs,
    free_volumes,
    image_of,
    nothing,
    patch,
    remove,
    remove_some_pod,
    run_pods,
    scale,
    serves,
    target,
    touch,
    use_image,
)
from tests.unit.controllers.adversity.bounds import AtLeast, AtMost, AtMostEver, Bound, KeptForClaims
from tests.unit.controllers.adversity.volumes import SafelyAttached, is_attached, move, use_volumes
from tests.unit.controllers.attachdetach.make import bound, node, whole_pod
from tests.unit.controllers.cronjob.make import cron_job
from tests.unit.controllers.ephemeralvolume import make as ephemeral
from tests.unit.controllers.make import template
from tests.unit.controllers.persistentvolume.make import claim, volume
from tests.unit.controllers.statefulset.make import claim_template
from tiphys.api.apps import v1 as apps
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.helpers.jobs import TRACKING, has_condition, is_finished
from tiphys.api.helpers.pods import is_active
from tiphys.api.meta.v1 import KubeObject, LabelSelector, ObjectMeta
from tiphys.api.well_known import SERVICE_NAME
from tiphys.controllers.attachdetach.controller import VolumeAttachController
from tiphys.controllers.attachdetach.detach import VolumeDetachController
from tiphys.controllers.attachdetach.settings import AttachDetachSettings
from tiphys.controllers.cronjob.controller import CronJobController
from tiphys.controllers.cronjob.runs import SCHEDULED_AT
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.controllers.daemonset.controller import DaemonSetController
from tiphys.controllers.deployment.controller import DeploymentController
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.endpoints.mirror import MirrorController
from tiphys.controllers.ephemeralvolume.controller import EphemeralVolumeController
from tiphys.controllers.job.controller import JobController
from tiphys.controllers.persistentvolume.controller import ClaimBindingController
from tiphys.controllers.persistentvolume.volumes import VolumeReleaseController
from tiphys.controllers.protection.controller import ClaimProtectionController
from tiphys.controllers.replicaset.controller import ReplicaSetController, ReplicationController
from tiphys.controllers.rootca.controller import RootCaController
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.statefulset.controller import StatefulSetController
from tiphys.runtime import Controller
from tiphys.testing.memory_api import MemoryApi

REPLICAS = 4
DEPLOYED = 3
COMPLETIONS = 6
META = ObjectMeta(name="web", namespace="default")
SELECTOR = LabelSelector(matchLabels={"app": "web"})
NODES = [core.Node(metadata=ObjectMeta(name=f"n{number}")) for number in range(REPLICAS)]
PORT = core.ServicePort(name="http", port=80, targetPort="http", protocol="TCP")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Loops and their task."""

    loops: Sequence[Callable[[], Controller]]
    there: Sequence[KubeObject] = ()
    """Objects that are there from the start, as they are."""
    create: Sequence[KubeObject]
    """Objects that a user creates."""
    changes: Sequence[Change]
    watches: Sequence[str]
    """Resources whose events lag."""
    settled: Callable[[MemoryApi], bool]
    """Return whether the loops have nothing left to do, from the specification and the state."""
    bounds: Sequence[Bound]
    act: Act = run_pods
    pace: float = 1.0
    """Factor of all pauses."""


def active_pods(api: MemoryApi) -> list[core.Pod]:
    """Return the active pods, empty while others are there as well."""
    pods = api.list(core.Pod, "default")
    return pods if all(map(serves, pods)) else []


def is_scaled(type_: type[apps.ReplicaSet] | type[core.ReplicationController]) -> Callable[[MemoryApi], bool]:
    def settled(api: MemoryApi) -> bool:
        owner = api.get(type_, "web", "default")
        status, size = owner.status, owner.spec.replicas
        counts = (len(active_pods(api)), status.replicas, status.availableReplicas)
        return counts == (size, size, size) and status.observedGeneration == owner.metadata.generation

    return settled


def is_deployed(api: MemoryApi) -> bool:
    owner = api.get(apps.Deployment, "web", "default")
    status = owner.status
    counts = (status.replicas, status.updatedReplicas, status.availableReplicas)
    images = [image_of(pod) for pod in active_pods(api)]
    sizes = sorted(one.spec.replicas or 0 for one in api.list(apps.ReplicaSet, "default"))
    seen = status.observedGeneration == owner.metadata.generation and sizes[-1] == sum(sizes)
    return seen and counts == (DEPLOYED, DEPLOYED, DEPLOYED) and images == [image_of(owner)] * DEPLOYED


def is_numbered(api: MemoryApi) -> bool:
    owner = api.get(apps.StatefulSet, "web", "default")
    status, size = owner.status, owner.spec.replicas or 0
    pods = active_pods(api)
    labels = {pod.metadata.labels[HASH_LABEL] for pod in pods}
    counts = (status.replicas, status.updatedReplicas, status.availableReplicas)
    done = status.observedGeneration == owner.metadata.generation and labels == {status.updateRevision} == {status.currentRevision}
    return done and counts == (size, size, size) and [image_of(pod) for pod in pods] == [image_of(owner)] * size


def is_everywhere(api: MemoryApi) -> bool:
    owner = api.get(apps.DaemonSet, "web", "default")
    status = owner.status
    counts = (status.desiredNumberScheduled, status.updatedNumberScheduled, status.numberAvailable)
    images = [image_of(pod) for pod in active_pods(api)]
    seen = status.observedGeneration == owner.metadata.generation
    return seen and counts == (REPLICAS, REPLICAS, REPLICAS) and images == [image_of(owner)] * REPLICAS


def is_complete(api: MemoryApi) -> bool:
    job = api.get(batch.Job, "web", "default")
    tracked = [pod for pod in api.list(core.Pod, "default") if TRACKING in pod.metadata.finalizers]
    return has_condition(job.status, "Complete") and not tracked


def has_run(api: MemoryApi) -> bool:
    """Return whether there was a run, and whether the status is true, as of a suspended CronJob."""
    tick = api.get(batch.CronJob, "tick", "default")
    jobs = api.list(batch.Job, "default")
    active = {job.metadata.uid for job in jobs if not is_finished(job.status)}
    is_true = {ref.uid for ref in tick.status.active} == active and (not tick.spec.suspend or not active)
    return bool(tick.status.lastScheduleTime) and is_true and len(jobs) - len(active) <= (tick.spec.successfulJobsHistoryLimit or 0)


def due_of(job: batch.Job) -> str:
    return job.metadata.annotations[SCHEDULED_AT]


def slices_of(api: MemoryApi) -> list[discovery.EndpointSlice]:
    return [one for one in api.list(discovery.EndpointSlice, "default") if is_of_web(one)]


def is_of_web(slice_: discovery.EndpointSlice) -> bool:
    return slice_.metadata.labels.get(SERVICE_NAME) == "web"


def addresses_of(api: MemoryApi) -> dict[str, bool]:
    """Return the addresses in slices, and whether they are ready."""
    return {one.addresses[0]: bool(one.conditions.ready) for slice_ in slices_of(api) for one in slice_.endpoints or []}


def is_followed(api: MemoryApi) -> bool:
    service = api.get(core.Service, "web", "default")
    subsets = api.get(core.Endpoints, "web", "default").subsets
    ready = {address.ip for subset in subsets for address in subset.addresses}
    pods = api.list(core.Pod, "default")
    labeled = all(service.metadata.labels.items() <= slice_.metadata.labels.items() for slice_ in slices_of(api))
    expected = {pod.status.podIP: serves(pod) for pod in pods}
    return labeled and addresses_of(api) == expected and ready == {ip for ip, is_ready in expected.items() if is_ready}


def is_mirrored(api: MemoryApi) -> bool:
    subsets = api.get(core.Endpoints, "web", "default").subsets
    return addresses_of(api) == {address.ip: True for subset in subsets for address in subset.addresses}


def has_basics(api: MemoryApi) -> bool:
    names = {one.metadata.name for one in api.list(core.Namespace)}
    accounts = {one.metadata.namespace for one in api.list(core.ServiceAccount) if one.metadata.name == "default"}
    configs = {one.metadata.namespace for one in api.list(core.ConfigMap) if one.metadata.name == "kube-root-ca.crt"}
    return accounts == names == configs


def are_bound(api: MemoryApi) -> bool:
    """Return whether every claim and its volume are bound to each other, and all other volumes are free or released."""
    volumes = {one.metadata.name: one for one in api.list(core.PersistentVolume)}
    for owner in api.list(core.PersistentVolumeClaim, "default"):
        its = volumes.pop(owner.spec.volumeName, None)
        reference = its.spec.claimRef if its is not None else None
        if its is None or reference is None or reference.uid != owner.metadata.uid or owner.metadata.deletionTimestamp is not None:
            return False
        if not owner.status.phase == its.status.phase == "Bound":
            return False
    return all(one.status.phase == ("Released" if one.spec.claimRef is not None else "Available") for one in volumes.values())


def has_own_claims(api: MemoryApi) -> bool:
    owner = api.get(core.Pod, "web", "default")
    claims = api.list(core.PersistentVolumeClaim, "default")
    return [one.metadata.name for one in claims] == ["web-data", "web-logs"] and all(
        one.metadata.deletionTimestamp is None and one.metadata.ownerReferences[0].uid == owner.metadata.uid for one in claims
    )


def workload() -> apps.ReplicaSet:
    return apps.ReplicaSet(metadata=META, spec=apps.ReplicaSetSpec(replicas=REPLICAS, selector=SELECTOR, template=template()))


def replication_controller() -> core.ReplicationController:
    spec = core.ReplicationControllerSpec(replicas=REPLICAS, selector={"app": "web"}, template=template())
    return core.ReplicationController(metadata=META, spec=spec)


def deployment(surge: int, unavailable: int) -> Subject:
    rolling = apps.RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable)
    strategy = apps.DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling)
    made = apps.DeploymentSpec(replicas=DEPLOYED, selector=SELECTOR, template=template(), strategy=strategy)
    return Subject(
        loops=(DeploymentController, ReplicaSetController),
        create=[apps.Deployment(metadata=META, spec=made)],
        changes=[use_image(apps.Deployment, "b"), use_image(apps.Deployment, "c"), use_image(apps.Deployment, "a")],
        watches=("pods", "replicasets", "deployments"),
        settled=is_deployed,
        bounds=[
            AtMost(DEPLOYED + surge, core.Pod, of=is_active),
            AtLeast(DEPLOYED - unavailable, DEPLOYED, core.Pod, of=serves),
            AtMostEver(1, apps.ReplicaSet, per=image_of),
        ],
    )


def daemon_set(surge: int, unavailable: int) -> Subject:
    rolling = apps.RollingUpdateDaemonSet(maxSurge=surge, maxUnavailable=unavailable)
    strategy = apps.DaemonSetUpdateStrategy(type="RollingUpdate", rollingUpdate=rolling)
    return Subject(
        loops=[DaemonSetController],
        there=NODES,
        create=[apps.DaemonSet(metadata=META, spec=apps.DaemonSetSpec(selector=SELECTOR, template=template(), updateStrategy=strategy))],
        changes=[use_image(apps.DaemonSet, "b"), use_image(apps.DaemonSet, "a")],
        watches=("pods", "daemonsets", "controllerrevisions", "nodes"),
        settled=is_everywhere,
        bounds=[
            AtMost(1 + surge, core.Pod, of=is_active, per=target),
            AtMost(1, core.Pod, of=is_active, per=lambda pod: (target(pod), pod.metadata.labels[HASH_LABEL])),
            AtLeast(REPLICAS - unavailable, REPLICAS, core.Pod, of=serves),
            AtMostEver(1, apps.ControllerRevision, per=image_of_revision),
        ],
    )


def image_of_revision(revision: apps.ControllerRevision) -> str:
    return str(revision.data["spec"]["template"]["spec"]["containers"][0]["image"])


def name_of(obj: KubeObject) -> str:
    return obj.metadata.name


SCALED_BOUNDS: list[Bound] = [
    AtMost(REPLICAS, core.Pod, of=is_active),
    # Those of the beginning, one for the pod that a user deletes, and two when it grows again.
    AtMostEver(REPLICAS + 3, core.Pod),
]

SUBJECTS = {
    "ReplicaSet": Subject(
        loops=[ReplicaSetController],
        create=[workload()],
        changes=[remove_some_pod, scale(apps.ReplicaSet, 2), scale(apps.ReplicaSet, REPLICAS)],
        watches=("pods", "replicasets"),
        settled=is_scaled(apps.ReplicaSet),
        bounds=SCALED_BOUNDS,
    ),
    "ReplicationController": Subject(
        loops=[ReplicationController],
        create=[replication_controller()],
        changes=[remove_some_pod, scale(core.ReplicationController, 2), scale(core.ReplicationController, REPLICAS)],
        watches=("pods", "replicationcontrollers"),
        settled=is_scaled(core.ReplicationController),
        bounds=SCALED_BOUNDS,
    ),
    "Deployment that surges": deployment(1, 0),
    "Deployment that makes room": deployment(0, 1),
    "StatefulSet": Subject(
        loops=[StatefulSetController],
        create=[
            apps.StatefulSet(
                metadata=META,
                spec=apps.StatefulSetSpec(
                    replicas=3, serviceName="web", selector=SELECTOR, template=template(), volumeClaimTemplates=[claim_template("data")]
                ),
            )
        ],
        changes=[use_image(apps.StatefulSet, "b"), use_image(apps.StatefulSet, "a")],
        watches=("pods", "statefulsets", "controllerrevisions", "persistentvolumeclaims"),
        settled=is_numbered,
        bounds=[
            AtMost(3, core.Pod, of=is_active),
            AtLeast(2, 3, core.Pod, of=serves),
            AtMostEver(3, core.PersistentVolumeClaim),
            AtMostEver(1, apps.ControllerRevision, per=image_of_revision),
        ],
    ),
    "DaemonSet that surges": daemon_set(1, 0),
    "DaemonSet that makes room": daemon_set(0, 1),
    "Job": Subject(
        loops=[JobController],
        create=[
            batch.Job(
                metadata=META,
                spec=batch.JobSpec(completions=COMPLETIONS, parallelism=2, template=cron_job().spec.jobTemplate.spec.template),
            )
        ],
        changes=[touch(batch.Job, "1"), touch(batch.Job, "2")],
        watches=("pods", "jobs"),
        settled=is_complete,
        bounds=[AtMost(2, core.Pod, of=is_active), AtMostEver(COMPLETIONS, core.Pod)],
    ),
    "CronJob": Subject(
        loops=[lambda: CronJobController(CronJobSettings(time_zone="UTC"))],
        create=[batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=cron_job().spec)],
        changes=[
            patch(batch.CronJob, {"spec": {"concurrencyPolicy": "Forbid"}}, "tick"),
            patch(batch.CronJob, {"spec": {"concurrencyPolicy": "Replace", "successfulJobsHistoryLimit": 1}}, "tick"),
            patch(batch.CronJob, {"spec": {"suspend": True}}, "tick"),
        ],
        watches=("cronjobs", "jobs"),
        settled=has_run,
        bounds=[AtMostEver(1, batch.Job, per=due_of)],
        act=end_jobs,
        pace=6.0,
    ),
    "EndpointSlice": Subject(
        loops=[EndpointsController],
        there=[backend("p1", 1), backend("p2", 2), backend("p3", 3)],
        create=[core.Service(metadata=META, spec=core.ServiceSpec(selector={"app": "web"}, ports=[PORT]))],
        changes=[remove_some_pod, touch(core.Service, "1"), remove_some_pod],
        watches=("endpointslices", "pods"),
        settled=is_followed,
        bounds=[AtMostEver(1, discovery.EndpointSlice, of=is_of_web)],
        act=nothing,
    ),
    "mirrored EndpointSlice": Subject(
        loops=[MirrorController],
        create=[
            core.Service(metadata=META, spec=core.ServiceSpec(ports=[PORT])),
            core.Endpoints(metadata=META, subsets=[core.EndpointSubset(addresses=[core.EndpointAddress(ip="10.0.0.1")])]),
        ],
        changes=[patch(core.Endpoints, {"subsets": [{"addresses": [{"ip": ip}]}]}) for ip in ("10.0.0.2", "10.0.0.3")],
        watches=("endpointslices", "endpoints"),
        settled=is_mirrored,
        bounds=[AtMostEver(1, discovery.EndpointSlice, of=is_of_web)],
        act=nothing,
    ),
    "namespace": Subject(
        loops=[ServiceAccountController, lambda: RootCaController(RootCaSettings(file=__file__))],
        create=[core.Namespace(metadata=ObjectMeta(name=name)) for name in ("a", "b")],
        changes=[remove(core.ServiceAccount, "default"), remove(core.ConfigMap, "kube-root-ca.crt")],
        watches=("namespaces", "serviceaccounts", "configmaps"),
        settled=has_basics,
        bounds=[AtMostEver(2, core.ServiceAccount), AtMostEver(2, core.ConfigMap)],
        act=nothing,
    ),
    "claims": Subject(
        loops=[ClaimBindingController, VolumeReleaseController, ClaimProtectionController],
        there=[volume(f"v{size}", f"{size}Gi", phase="") for size in range(1, 5)],
        create=[claim(f"c{number}", "1Gi", uid="") for number in range(3)],
        changes=[remove(core.PersistentVolumeClaim, "c1"), add(claim("c1", "1Gi", uid="")), free_volumes, add(claim("c4", "1Gi", uid=""))],
        watches=("persistentvolumes", "persistentvolumeclaims"),
        settled=are_bound,
        bounds=[KeptForClaims()],
        act=nothing,
    ),
    "claims of a pod": Subject(
        loops=[EphemeralVolumeController, ClaimProtectionController],
        create=[ephemeral.pod("web", "data", "logs", uid="")],
        changes=[remove(core.PersistentVolumeClaim, "web-data"), remove(core.PersistentVolumeClaim, "web-logs")],
        watches=("pods", "persistentvolumeclaims"),
        settled=has_own_claims,
        bounds=[AtMost(1, core.PersistentVolumeClaim, per=name_of), AtMostEver(4, core.PersistentVolumeClaim)],
        act=nothing,
    ),
    "VolumeAttachment": Subject(
        loops=[VolumeAttachController, lambda: VolumeDetachController(AttachDetachSettings())],
        there=[*(node(f"n{number}") for number in range(3)), *bound(1), *bound(2)],
        create=[whole_pod("a", "n0"), whole_pod("b", "n1", 2)],
        changes=[move("a", "c", "n1"), move("c", "d", "n1"), remove(core.Pod, "b"), move("d", "e", "n2")],
        watches=("volumeattachments", "pods", "nodes"),
        settled=is_attached,
        bounds=[SafelyAttached()],
        act=use_volumes,
    ),
}
