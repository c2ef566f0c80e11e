"""Tables of the core group, pods apart."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.columns.base import AGE, NAME, NONE, UNKNOWN, cell, first_three, format_labels, since
from tiphys.api.core.v1 import ComponentCondition, ComponentStatus, Endpoints, Event, Node, ResourceQuota, Service, ServicePort
from tiphys.api.machinery.scheme import Column

_ROLE = "node-role.kubernetes.io/"


def _external_ip(service: Service) -> str:
    spec = service.spec
    if spec.type == "ExternalName":
        return spec.externalName
    if spec.type != "LoadBalancer":
        return ",".join(spec.externalIPs) or NONE
    ingress = sorted({entry.ip or entry.hostname for entry in service.status.loadBalancer.ingress})
    return ",".join(text for text in (*ingress, *spec.externalIPs) if text) or "<pending>"


def _port(port: ServicePort) -> str:
    return f"{port.port}:{port.nodePort}/{port.protocol}" if port.nodePort else f"{port.port}/{port.protocol}"


SERVICES = (
    NAME,
    Column("Type", cell(lambda obj: obj.spec.type), description="How the Service is exposed."),
    Column(
        "Cluster-IP", cell(lambda obj: obj.spec.clusterIPs[0] if obj.spec.clusterIPs else NONE), description="Its address in the cluster."
    ),
    Column("External-IP", cell(_external_ip), description="Its addresses outside the cluster."),
    Column("Port(s)", cell(lambda obj: ",".join(map(_port, obj.spec.ports)) or NONE), description="Its ports, with node ports."),
    AGE,
    Column("Selector", cell(lambda obj: format_labels(obj.spec.selector)), priority=1, description="The labels of the pods behind it."),
)


def _endpoints(endpoints: Endpoints) -> str:
    found: list[str] = []
    for subset in endpoints.subsets:
        if not subset.ports:
            found += [address.ip for address in subset.addresses]
        for port in subset.ports:
            found += [f"[{a.ip}]:{port.port}" if ":" in a.ip else f"{a.ip}:{port.port}" for a in subset.addresses]
    if not endpoints.subsets:
        return NONE
    return first_three(found) if found else ""


ENDPOINTS = (NAME, Column("Endpoints", cell(_endpoints), description="Addresses and ports that are ready."), AGE)


def _node_status(node: Node) -> str:
    words = [c.type if c.status == "True" else f"Not{c.type}" for c in node.status.conditions if c.type == "Ready"] or ["Unknown"]
    return ",".join([*words, "SchedulingDisabled"] if node.spec.unschedulable else words)


def _roles(node: Node) -> str:
    labels = node.metadata.labels
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get("kubernetes.io/role", "")}
    return ",".join(sorted(role for role in roles if role)) or NONE


def _address(node: Node, kind: str) -> str:
    return next((address.address for address in node.status.addresses if address.type == kind), NONE)


def _kernel(node: Node) -> str:
    info = node.status.nodeInfo
    return f"{info.kernelVersion or UNKNOWN} ({info.architecture})" if info.architecture else info.kernelVersion or UNKNOWN


NODES = (
    NAME,
    Column("Status", cell(_node_status), description="Whether the node is ready and takes new pods."),
    Column("Roles", cell(_roles), description="What the node is for, by its labels."),
    AGE,
    Column("Version", cell(lambda node: node.status.nodeInfo.kubeletVersion), description="The version of its agent."),
    Column("Internal-IP", cell(lambda node: _address(node, "InternalIP")), priority=1, description="Its address in the cluster."),
    Column("External-IP", cell(lambda node: _address(node, "ExternalIP")), priority=1, description="Its address outside."),
    Column("OS-Image", cell(lambda node: node.status.nodeInfo.osImage or UNKNOWN), priority=1, description="Its operating system."),
    Column("Kernel-Version", cell(_kernel), priority=1, description="Its kernel and architecture."),
    Column(
        "Container-Runtime",
        cell(lambda node: node.status.nodeInfo.containerRuntimeVersion or UNKNOWN),
        priority=1,
        description="Its container runtime.",
    ),
)


def _first_seen(event: Event, now: datetime) -> str:
    return since(event.firstTimestamp or event.eventTime, now)


def _last_seen(event: Event, now: datetime) -> str:
    if event.series is not None:
        return since(event.series.lastObservedTime, now)
    return since(event.lastTimestamp, now) if event.lastTimestamp else _first_seen(event, now)


def _object(event: Event) -> str:
    kind = event.involvedObject.kind.lower()
    return f"{kind}/{event.involvedObject.name}" if event.involvedObject.name else kind


def _source(event: Event) -> str:
    component, instance = event.source.component or event.reportingComponent, event.source.host or event.reportingInstance
    return f"{component}, {instance}" if instance else component


EVENTS = (
    Column("Last Seen", _last_seen, description="How long ago it happened last."),
    Column("Type", cell(lambda event: event.type), description="Normal or Warning."),
    Column("Reason", cell(lambda event: event.reason), description="What happened, in one word."),
    Column("Object", cell(_object), description="What it happened to."),
    Column("Subobject", cell(lambda event: event.involvedObject.fieldPath), priority=1, description="The part of the object."),
    Column("Source", cell(_source), priority=1, description="Who reported it."),
    Column("Message", cell(lambda event: event.message.strip()), description="What happened, in words."),
    Column("First Seen", _first_seen, priority=1, description="How long ago it happened first."),
    Column(
        "Count",
        cell(lambda event: event.series.count if event.series is not None else event.count or 1),
        priority=1,
        description="How often it happened.",
    ),
    Column("Name", cell(lambda event: event.metadata.name), format="name", priority=1, description="The name of the event itself."),
)

NAMESPACES = (NAME, Column("Status", cell(lambda obj: obj.status.phase), description="Active or Terminating."), AGE)
SECRETS = (
    NAME,
    Column("Type", cell(lambda obj: obj.type), description="What the secret is for."),
    Column("Data", cell(lambda obj: len(obj.data)), description="How many keys it has."),
    AGE,
)
CONFIG_MAPS = (NAME, Column("Data", cell(lambda obj: len(obj.data) + len(obj.binaryData)), description="How many keys it has."), AGE)
SERVICE_ACCOUNTS = (NAME, AGE)


def _used_of(quota: ResourceQuota, *, limits: bool) -> str:
    """`cpu: 1/4, pods: 3/10` for limits, or for everything else."""
    used, hard = quota.status.used, quota.status.hard
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") == limits)


RESOURCE_QUOTAS = (
    NAME,
    Column("Request", cell(lambda obj: _used_of(obj, limits=False)), description="What is used of what may be requested or counted."),
    Column("Limit", cell(lambda obj: _used_of(obj, limits=True)), description="What is used of what containers may be limited to."),
    AGE,
)


def _healthy(status: ComponentStatus) -> ComponentCondition | None:
    return next((condition for condition in status.conditions if condition.type == "Healthy"), None)


def _component(status: ComponentStatus) -> str:
    condition = _healthy(status)
    return "Unknown" if condition is None else "Healthy" if condition.status == "True" else "Unhealthy"


COMPONENT_STATUSES = (
    NAME,
    Column("Status", cell(_component), description="Healthy or Unhealthy."),
    Column("Message", cell(lambda status: getattr(_healthy(status), "message", "")), description="What the component says."),
    Column("Error", cell(lambda status: getattr(_healthy(status), "error", "")), description="What is wrong."),
)
