"""The core group."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import core as columns
from tiphys.api.columns import pod as pod_columns
from tiphys.api.columns import storage as storage_columns
from tiphys.api.columns import workloads
from tiphys.api.core import v1 as core
from tiphys.api.kinds.rules_core import (
    ConfigMapRules,
    EndpointsRules,
    EventRules,
    NamespaceRules,
    NodeRules,
    SecretRules,
    ServiceAccountRules,
    ServiceRules,
)
from tiphys.api.kinds.rules_pod import PodRules, PodTemplateRules
from tiphys.api.kinds.rules_quota import LimitRangeRules, ResourceQuotaRules
from tiphys.api.kinds.rules_storage import PersistentVolumeClaimRules, PersistentVolumeRules
from tiphys.api.kinds.rules_workload import ReplicationControllerRules
from tiphys.api.machinery.scheme import VERBS, GroupVersionKind, Kind, Subresource
from tiphys.api.machinery.subresources import PROXY, SCALE, STATUS, connect

EVENT_TTL = 3600.0
"""Seconds for which an Event is kept."""


def _flag(value: bool | None) -> str:
    return "true" if value else "false"


PODS: Kind[core.Pod] = Kind(
    type=core.Pod,
    plural="pods",
    rules=PodRules(),
    columns=pod_columns.PODS,
    short_names=("po",),
    categories=("all",),
    subresources=(
        connect("attach", "PodAttachOptions"),
        Subresource("binding", ("create",), GroupVersionKind("", "v1", "Binding")),
        Subresource("ephemeralcontainers"),
        Subresource("eviction", ("create",), GroupVersionKind("policy", "v1", "Eviction")),
        connect("exec", "PodExecOptions"),
        Subresource("log", ("get",)),
        connect("portforward", "PodPortForwardOptions"),
        connect("proxy", "PodProxyOptions", PROXY),
        Subresource("resize"),
        STATUS,
    ),
    selectable={
        "spec.nodeName": lambda pod: pod.spec.nodeName,
        "spec.restartPolicy": lambda pod: pod.spec.restartPolicy,
        "spec.schedulerName": lambda pod: pod.spec.schedulerName,
        "spec.serviceAccountName": lambda pod: pod.spec.serviceAccountName,
        "spec.hostNetwork": lambda pod: _flag(pod.spec.hostNetwork),
        "status.phase": lambda pod: pod.status.phase,
        "status.podIP": lambda pod: pod.status.podIP,
        "status.podIPs": lambda pod: ",".join(ip.ip for ip in pod.status.podIPs),
        "status.nominatedNodeName": lambda pod: pod.status.nominatedNodeName,
    },
)

POD_TEMPLATES: Kind[core.PodTemplate] = Kind(
    type=core.PodTemplate, plural="podtemplates", rules=PodTemplateRules(), columns=pod_columns.POD_TEMPLATES
)

REPLICATION_CONTROLLERS: Kind[core.ReplicationController] = Kind(
    type=core.ReplicationController,
    plural="replicationcontrollers",
    rules=ReplicationControllerRules(),
    columns=workloads.REPLICATION_CONTROLLERS,
    short_names=("rc",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    selectable={"status.replicas": lambda controller: str(controller.status.replicas)},
)

SERVICES: Kind[core.Service] = Kind(
    type=core.Service,
    plural="services",
    rules=ServiceRules(),
    columns=columns.SERVICES,
    short_names=("svc",),
    categories=("all",),
    subresources=(connect("proxy", "ServiceProxyOptions", PROXY), STATUS),
    selectable={"spec.clusterIP": lambda service: service.spec.clusterIP, "spec.type": lambda service: service.spec.type},
)

ENDPOINTS: Kind[core.Endpoints] = Kind(
    type=core.Endpoints,
    plural="endpoints",
    rules=EndpointsRules(),
    columns=columns.ENDPOINTS,
    short_names=("ep",),
    deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)

NODES: Kind[core.Node] = Kind(
    type=core.Node,
    plural="nodes",
    rules=NodeRules(),
    columns=columns.NODES,
    namespaced=False,
    short_names=("no",),
    subresources=(connect("proxy", "NodeProxyOptions", PROXY), STATUS),
    selectable={"spec.unschedulable": lambda node: _flag(node.spec.unschedulable)},
)

NAMESPACES: Kind[core.Namespace] = Kind(
    type=core.Namespace,
    plural="namespaces",
    rules=NamespaceRules(),
    columns=columns.NAMESPACES,
    namespaced=False,
    short_names=("ns",),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
    subresources=(Subresource("finalize", ("update",)), STATUS),
    selectable={"name": lambda namespace: namespace.metadata.name, "status.phase": lambda namespace: namespace.status.phase},
)

CONFIG_MAPS: Kind[core.ConfigMap] = Kind(
    type=core.ConfigMap, plural="configmaps", rules=ConfigMapRules(), columns=columns.CONFIG_MAPS, short_names=("cm",)
)

SECRETS: Kind[core.Secret] = Kind(
    type=core.Secret, plural="secrets", rules=SecretRules(), columns=columns.SECRETS, selectable={"type": lambda secret: secret.type}
)

SERVICE_ACCOUNTS: Kind[core.ServiceAccount] = Kind(
    type=core.ServiceAccount,
    plural="serviceaccounts",
    rules=ServiceAccountRules(),
    columns=columns.SERVICE_ACCOUNTS,
    short_names=("sa",),
    subresources=(Subresource("token", ("create",), GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")),),
)

EVENTS: Kind[core.Event] = Kind(
    type=core.Event,
    plural="events",
    rules=EventRules(),
    columns=columns.EVENTS,
    short_names=("ev",),
    ttl=lambda _: EVENT_TTL,
    selectable={
        "involvedObject.kind": lambda event: event.involvedObject.kind,
        "involvedObject.namespace": lambda event: event.involvedObject.namespace,
        "involvedObject.name": lambda event: event.involvedObject.name,
        "involvedObject.uid": lambda event: event.involvedObject.uid,
        "involvedObject.apiVersion": lambda event: event.involvedObject.apiVersion,
        "involvedObject.resourceVersion": lambda event: event.involvedObject.resourceVersion,
        "involvedObject.fieldPath": lambda event: event.involvedObject.fieldPath,
        "reason": lambda event: event.reason,
        "reportingComponent": lambda event: event.reportingComponent,
        "source": lambda event: event.source.component or event.reportingComponent,
        "type": lambda event: event.type,
    },
)

LIMIT_RANGES: Kind[core.LimitRange] = Kind(type=core.LimitRange, plural="limitranges", rules=LimitRangeRules(), short_names=("limits",))

RESOURCE_QUOTAS: Kind[core.ResourceQuota] = Kind(
    type=core.ResourceQuota,
    plural="resourcequotas",
    rules=ResourceQuotaRules(),
    columns=columns.RESOURCE_QUOTAS,
    short_names=("quota",),
    subresources=(STATUS,),
)

PERSISTENT_VOLUMES: Kind[core.PersistentVolume] = Kind(
    type=core.PersistentVolume,
    plural="persistentvolumes",
    rules=PersistentVolumeRules(),
    columns=storage_columns.PERSISTENT_VOLUMES,
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
    selectable={"name": lambda volume: volume.metadata.name},
    unattended=True,
)

PERSISTENT_VOLUME_CLAIMS: Kind[core.PersistentVolumeClaim] = Kind(
    type=core.PersistentVolumeClaim,
    plural="persistentvolumeclaims",
    rules=PersistentVolumeClaimRules(),
    columns=storage_columns.PERSISTENT_VOLUME_CLAIMS,
    short_names=("pvc",),
    subresources=(STATUS,),
    selectable={"name": lambda claim: claim.metadata.name},
    unattended=True,
)

COMPONENT_STATUSES: Kind[core.ComponentStatus] = Kind(
    type=core.ComponentStatus,
    plural="componentstatuses",
    columns=columns.COMPONENT_STATUSES,
    namespaced=False,
    short_names=("cs",),
    verbs=("get", "list"),
    deprecated="v1 ComponentStatus is deprecated in v1.19+",
)

BINDINGS: Kind[core.Binding] = Kind(type=core.Binding, plural="bindings", verbs=("create",))
"""The older way to bind a pod: posted beside pods rather than below one, and not stored either."""

KINDS: tuple[Kind[Any], ...] = (
    BINDINGS,
    COMPONENT_STATUSES,
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_TEMPLATES,
    PODS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
