"""Registry of all control loops of a cluster, for `Manager.add_all`."""

from __future__ import annotations

from collections.abc import Callable

from tiphys.controllers.attachdetach.controller import VolumeAttachController
from tiphys.controllers.attachdetach.detach import VolumeDetachController
from tiphys.controllers.autoscaling.controller import HorizontalPodAutoscalerController
from tiphys.controllers.certificates.controller import CsrApprovingController, CsrCleaner, CsrSigningController
from tiphys.controllers.clusterroles.controller import ClusterRoleAggregationController
from tiphys.controllers.cronjob.controller import CronJobController
from tiphys.controllers.daemonset.controller import DaemonSetController
from tiphys.controllers.deployment.controller import DeploymentController
from tiphys.controllers.disruption.controller import DisruptionController
from tiphys.controllers.disruption.stale import StaleDisruptionController
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.endpoints.mirror import MirrorController
from tiphys.controllers.ephemeralvolume.controller import EphemeralVolumeController
from tiphys.controllers.garbage.controller import GarbageCollector
from tiphys.controllers.job.controller import JobController
from tiphys.controllers.job.orphans import JobOrphanController
from tiphys.controllers.legacytokens.controller import LegacyTokenCleaner
from tiphys.controllers.namespace.controller import NamespaceController
from tiphys.controllers.node.controller import NodeController
from tiphys.controllers.nodeipam.controller import NodeIpamController
from tiphys.controllers.nodettl.controller import NodeTtlController
from tiphys.controllers.persistentvolume.controller import ClaimBindingController
from tiphys.controllers.persistentvolume.volumes import VolumeReleaseController
from tiphys.controllers.podgc.controller import PodCollector
from tiphys.controllers.protection.controller import (
    AttributesClassProtectionController,
    ClaimProtectionController,
    VolumeProtectionController,
)
from tiphys.controllers.replicaset.controller import ReplicaSetController, ReplicationController
from tiphys.controllers.resourceclaim.controller import ClaimReleaseController, ResourceClaimController
from tiphys.controllers.resourcequota.controller import ResourceQuotaController
from tiphys.controllers.rootca.controller import RootCaController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.controllers.servicecidr.controller import ServiceCIDRController
from tiphys.controllers.settings import ControllerSettings
from tiphys.controllers.statefulset.controller import StatefulSetController
from tiphys.controllers.taints.controller import TaintEvictionController
from tiphys.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from tiphys.controllers.volumeexpand.controller import VolumeExpandController
from tiphys.runtime import Controller

LOOPS: tuple[type[Controller], ...] = (
    DeploymentController,
    DaemonSetController,
    ReplicaSetController,
    ReplicationController,
    StatefulSetController,
    JobController,
    JobOrphanController,
    TtlAfterFinishedController,
    CronJobController,
    EndpointsController,
    MirrorController,
    NamespaceController,
    ServiceAccountController,
    LegacyTokenCleaner,
    GarbageCollector,
    NodeController,
    TaintEvictionController,
    PodCollector,
    DisruptionController,
    HorizontalPodAutoscalerController,
    StaleDisruptionController,
    CsrApprovingController,
    CsrCleaner,
    CsrSigningController,
    ResourceClaimController,
    ClaimReleaseController,
    ResourceQuotaController,
    RootCaController,
    NodeIpamController,
    ServiceCIDRController,
    ClaimBindingController,
    VolumeReleaseController,
    EphemeralVolumeController,
    ClaimProtectionController,
    VolumeProtectionController,
    AttributesClassProtectionController,
    ClusterRoleAggregationController,
    NodeTtlController,
    VolumeAttachController,
    VolumeDetachController,
    VolumeExpandController,
)
"""Classes of all loops; everything else about a loop is in its declaration."""


def all_controllers(settings: ControllerSettings) -> list[Controller]:
    """Return one of each that the settings enable. They keep state of their own, so a new manager needs new ones."""
    return [controller for loop in LOOPS if (controller := _make(loop, settings)) is not None]


def _make(loop: type[Controller], settings: ControllerSettings) -> Controller | None:
    make: Callable[..., Controller] = loop
    if loop.declaration.settings is None:
        return make()
    part = settings.of(loop.declaration.settings)
    return make(part) if part.enabled else None
