"""Settings of the controllers: one part per loop, each with its defaults beside the loop, and which loops run, with how many workers."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from tiphys.controllers.attachdetach.settings import AttachDetachSettings
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.certificates.settings import SigningSettings
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.controllers.legacytokens.settings import LegacyTokenSettings
from tiphys.controllers.node.settings import NodeSettings
from tiphys.controllers.nodeipam.settings import NodeIpamSettings
from tiphys.controllers.podgc.settings import PodCollectorSettings
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.controllers.servicecidr.settings import ServiceCIDRSettings
from tiphys.settings.client import ClientSettings
from tiphys.settings.leader import LeaderElectionSettings
from tiphys.settings.loop import WORKERS, LoopSettings
from tiphys.settings.option import Option
from tiphys.settings.serving import SECURE_PORT, ServingSettings

S = TypeVar("S", bound=LoopSettings)


def _syncs(flag: str, what: str) -> Option:
    return Option(f"--concurrent-{flag}-syncs", f"Number of {what} that are worked on at once.", minimum=1)


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Workers per loop, by the name that the loop declares."""

    deployment: Annotated[int, _syncs("deployment", "Deployments")] = WORKERS
    replicaset: Annotated[int, _syncs("replicaset", "ReplicaSets")] = WORKERS
    replication: Annotated[int, _syncs("rc", "ReplicationControllers")] = WORKERS
    endpoints: Annotated[int, _syncs("service-endpoint", "Services whose endpoints are kept")] = WORKERS
    namespace: Annotated[int, _syncs("namespace", "namespaces")] = WORKERS
    statefulset: Annotated[int, _syncs("statefulset", "StatefulSets")] = WORKERS
    daemonset: Annotated[int, _syncs("daemonset", "DaemonSets")] = WORKERS
    job: Annotated[int, _syncs("job", "Jobs")] = 5
    cronjob: Annotated[int, _syncs("cron-job", "CronJobs")] = WORKERS
    ttl_after_finished: Annotated[int, _syncs("ttl-after-finished", "finished Jobs with a time to live")] = WORKERS
    horizontal_pod_autoscaler: Annotated[int, _syncs("horizontal-pod-autoscaler", "autoscalers")] = WORKERS
    garbage: Annotated[int, _syncs("gc", "objects whose owners may be gone")] = WORKERS
    ephemeralvolume: Annotated[int, _syncs("ephemeralvolume", "pods with generic ephemeral volumes")] = 5
    resourceclaim: Annotated[int, _syncs("resourceclaim", "pods with resource claims, and of claims that may be unused,")] = WORKERS
    resourcequota: Annotated[int, _syncs("resource-quota", "ResourceQuotas")] = WORKERS

    def of(self, loop: str) -> int:
        """Return the number of workers of a loop."""
        workers: int = getattr(self, _FIELDS.get(loop, loop.replace("-", "_")), WORKERS)
        return workers


_FIELDS = {
    "ephemeral-volume-controller": "ephemeralvolume",
    "garbage-collector-controller": "garbage",
    "resourceclaim-controller": "resourceclaim",
    "resourceclaim-release": "resourceclaim",
}


class ControllerSettings:
    """Settings of loops that differ from their defaults, by type."""

    def __init__(self, *parts: LoopSettings) -> None:
        self._parts = {type(part): part for part in parts}
        if len(self._parts) != len(parts):
            raise ValueError("two parts are of the same type")

    def of(self, type_: type[S]) -> S:
        """Return the part of a type; its defaults when there is none."""
        part = self._parts.get(type_)
        return part if isinstance(part, type_) else type_()


class ControllerServing(ServingSettings, frozen=True, kw_only=True):
    """Server of controllers in a process of their own."""

    port: Annotated[int, SECURE_PORT] = 10257


class ManagerClientSettings(ClientSettings, frozen=True, kw_only=True):
    """Connections of controllers in a process of their own."""

    service_accounts: Annotated[
        bool,
        Option("--use-service-account-credentials", "Act under a service account of kube-system for each role of a controller."),
    ] = False


class ControllerManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of all controllers of a cluster."""

    controllers: Annotated[
        tuple[str, ...],
        Option(
            "--controllers",
            "Controllers to run: * for all, NAME to add one, -NAME to leave one out.",
            metavar="NAME,...",
        ),
    ] = ("*",)
    concurrency: Concurrency = Concurrency()
    attach_detach: AttachDetachSettings = AttachDetachSettings()
    autoscaling: AutoscalingSettings = AutoscalingSettings()
    cron_job: CronJobSettings = CronJobSettings()
    legacy_tokens: LegacyTokenSettings = LegacyTokenSettings()
    node: NodeSettings = NodeSettings()
    node_ipam: NodeIpamSettings = NodeIpamSettings()
    pod_collector: PodCollectorSettings = PodCollectorSettings()
    root_ca: RootCaSettings = RootCaSettings()
    service_cidr: ServiceCIDRSettings = ServiceCIDRSettings()
    signing: SigningSettings = SigningSettings()
    client: ManagerClientSettings = ManagerClientSettings()
    serving: ControllerServing = ControllerServing()
    leader_election: LeaderElectionSettings = LeaderElectionSettings()

    def loops(self) -> ControllerSettings:
        """Return the settings of the loops."""
        parts = (getattr(self, name) for name in self.__struct_fields__)
        return ControllerSettings(*(part for part in parts if isinstance(part, LoopSettings)))


DEFAULTS = ControllerManagerSettings()
