"""All control loops of a cluster, for `Manager.add`."""

from __future__ import annotations

from datetime import timedelta

from tiphys.api.apps import v1 as apps
from tiphys.api.certificates import v1 as certificates
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.networking import v1 as networking
from tiphys.api.policy import v1 as policy
from tiphys.api.storage import v1 as storage
from tiphys.controllers.certificates.controller import CsrApprovingController, CsrCleaner, CsrSigningController
from tiphys.controllers.deployment.controller import DeploymentController
from tiphys.controllers.disruption.controller import DisruptionController
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.endpoints.mirror import MirrorController
from tiphys.controllers.garbage.controller import GarbageCollector
from tiphys.controllers.namespace.controller import NamespaceController
from tiphys.controllers.node.controller import NodeController
from tiphys.controllers.nodeipam.controller import NodeIpamController
from tiphys.controllers.podgc.controller import PodCollector
from tiphys.controllers.protection.controller import (
    AttributesClassProtectionController,
    ClaimProtectionController,
    VolumeProtectionController,
)
from tiphys.controllers.replicaset.controller import ReplicaSetController, ReplicationController
from tiphys.controllers.resourcequota.controller import ResourceQuotaController
from tiphys.controllers.rootca.controller import RootCaController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.controllers.servicecidr.controller import ServiceCIDRController
from tiphys.controllers.settings import ControllerSettings
from tiphys.controllers.taints.controller import TaintEvictionController
from tiphys.runtime import Controller

WHOLE: tuple[type[KubeObject], ...] = (
    apps.Deployment,
    apps.ReplicaSet,
    certificates.CertificateSigningRequest,
    core.Endpoints,
    core.Namespace,
    core.Node,
    core.PersistentVolume,
    core.PersistentVolumeClaim,
    core.Pod,
    core.ReplicationController,
    core.ResourceQuota,
    core.Service,
    core.ServiceAccount,
    discovery.EndpointSlice,
    networking.IPAddress,
    networking.ServiceCIDR,
    policy.PodDisruptionBudget,
    storage.VolumeAttributesClass,
)
"""Kinds of which the other controllers keep whole objects; the garbage collector reads theirs."""


def all_controllers(settings: ControllerSettings) -> list[Controller]:
    """One of each. They keep state of their own, so a new manager needs new ones."""
    controllers: list[Controller] = [
        DeploymentController(),
        ReplicaSetController(),
        ReplicationController(),
        EndpointsController(),
        MirrorController(),
        NamespaceController(settings.scheme),
        ServiceAccountController(),
        GarbageCollector(settings.scheme, WHOLE),
        NodeController(settings.node_grace),
        TaintEvictionController(),
        PodCollector(settings.terminated_pod_threshold, settings.missing_node_grace),
        DisruptionController(settings.scheme),
        CsrApprovingController(),
        CsrCleaner(),
        ResourceQuotaController(settings.scheme, WHOLE),
        ServiceCIDRController(),
        ClaimProtectionController(),
        VolumeProtectionController(),
        AttributesClassProtectionController(),
    ]
    if settings.signing_key:
        longest = timedelta(seconds=settings.signing_duration)
        controllers.append(CsrSigningController(settings.signing_certificate, settings.signing_key, longest))
    if settings.ca_file:
        controllers.append(RootCaController(settings.ca_file))
    if settings.cluster_cidr:
        controllers.append(NodeIpamController(settings.cluster_cidr, settings.node_mask))
    return controllers
