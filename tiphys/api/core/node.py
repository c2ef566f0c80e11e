"""Node: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.pods import scheduling
from tiphys.api.core.pods.kind import format_flag
from tiphys.api.core.pods.resources import amounts
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import Node
from tiphys.api.machinery.columns import AGE, NAME, NONE, UNKNOWN, cell
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import PROXY, STATUS, connect
from tiphys.api.rules.basics import Errors, cidr


def default_node(node: Node) -> None:
    """Allow all of the capacity to be allocated."""
    if not node.status.allocatable and node.status.capacity:
        node.status.allocatable = dict(node.status.capacity)


def validate_node(node: Node) -> Errors:
    """Return the mistakes in the taints, amounts and pod address ranges of a node."""
    errors: Errors = []
    scheduling.taints(errors, "metadata.taints", node.spec.taints)
    amounts(errors, "status.capacity", node.status.capacity)
    amounts(errors, "status.allocatable", node.status.allocatable)
    for index, block in enumerate(node.spec.podCIDRs):
        cidr(errors, f"spec.podCIDRs[{index}]", block)
    families = {":" in block for block in node.spec.podCIDRs}
    if len(families) < len(node.spec.podCIDRs):
        errors.append(invalid("spec.podCIDRs", node.spec.podCIDRs, "may specify no more than one CIDR for each IP family"))
    return errors


def validate_node_update(new: Node, old: Node) -> Errors:
    """Refuse repeated addresses and changes of what is set once: pod address ranges and provider."""
    errors: Errors = []
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(new.status.addresses):
        if (address.type, address.address) in seen:
            errors.append(duplicate(f"status.addresses[{index}]", address))
        seen.add((address.type, address.address))
    if old.spec.podCIDRs and new.spec.podCIDRs != old.spec.podCIDRs:
        errors.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if old.spec.providerID and new.spec.providerID != old.spec.providerID:
        errors.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    if new.spec.externalID != old.spec.externalID:
        errors.append(forbidden("spec.externalID", "may not be updated"))
    return errors


class NodeRules(Uncounted[Node]):
    """Nodes come with their status when they register."""

    status_wins_on_create = True

    default = staticmethod(default_node)

    def prepare_create(self, obj: Node) -> None:
        obj.spec.configSource = None
        obj.status.config = None

    def prepare_status_update(self, new: Node, old: Node) -> None:
        canonicalize(new)
        default_node(new)

    validate = staticmethod(validate_node)
    validate_update = staticmethod(validate_node_update)

    def validate_status_update(self, new: Node, old: Node) -> list[FieldError]:
        return [*validate_node(new), *validate_node_update(new, old)]


_ROLE = "node-role.kubernetes.io/"


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


COLUMNS = (
    NAME,
    Column("Status", cell(_node_status), description="Whether the node is ready and takes new pods."),
    Column("Roles", cell(_roles), description="What the node is for, by its labels."),
    AGE,
    Column("Version", cell(lambda node: node.status.nodeInfo.kubeletVersion), description="The version of its kubelet."),
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

NODES: Kind[core.Node] = Kind(
    type=core.Node,
    plural="nodes",
    rules=NodeRules(),
    columns=COLUMNS,
    namespaced=False,
    short_names=("no",),
    subresources=(connect("proxy", "NodeProxyOptions", PROXY), STATUS),
    selectable={"spec.unschedulable": lambda node: format_flag(node.spec.unschedulable)},
)
