"""Nodes that a DaemonSet's pods belong on, and the pod for a node ("DaemonSet": how daemon pods are scheduled). Pure.

The scheduler places the pods; each asks for its node by name.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import selects
from tiphys.api.helpers.taints import tolerates
from tiphys.api.well_known import (
    DISK_PRESSURE,
    MEMORY_PRESSURE,
    NETWORK_UNAVAILABLE,
    NOT_READY,
    PID_PRESSURE,
    UNREACHABLE,
    UNSCHEDULABLE,
)
from tiphys.controllers.shared.pods import templated_pod
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.shared.slim import SlimPod, named_nodes

GENERATION_LABEL = "pod-template-generation"
"""Label of a pod: the number of its template, by which older versions told templates apart."""
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""Annotation of a DaemonSet: the number of its template."""

NODE_NAME = "metadata.name"

_TOLERATED = (
    (NOT_READY, "NoExecute"),
    (UNREACHABLE, "NoExecute"),
    (DISK_PRESSURE, "NoSchedule"),
    (MEMORY_PRESSURE, "NoSchedule"),
    (PID_PRESSURE, "NoSchedule"),
    (UNSCHEDULABLE, "NoSchedule"),
)
_TOLERATED_BY_HOST_NETWORK = (*_TOLERATED, (NETWORK_UNAVAILABLE, "NoSchedule"))


class Fit(Enum):
    """Relation of a node to a DaemonSet."""

    NO = "no"
    """No pod may be there."""
    STAY = "stay"
    """A pod that is there may stay, but none is made: the node has a NoSchedule taint that the pods do not tolerate."""
    RUN = "run"
    """One pod belongs there."""


def tolerations(spec: core.PodSpec) -> list[core.Toleration]:
    """Return the tolerations of a template with those that every daemon pod has: troubles of the node are no reason to leave it."""
    result = list(spec.tolerations)
    for key, effect in _TOLERATED_BY_HOST_NETWORK if spec.hostNetwork else _TOLERATED:
        added = core.Toleration(key=key, operator="Exists", effect=effect)
        for index, known in enumerate(result):
            if (known.key, known.operator, known.effect, known.value) == (key, "Exists", effect, ""):
                result[index] = added
                break
        else:
            result.append(added)
    return result


class Placement:
    """Rule by which a pod template selects nodes."""

    def __init__(self, template: core.PodTemplateSpec) -> None:
        self._spec = template.spec
        self._tolerations = tolerations(template.spec)

    def fit(self, node: core.Node) -> Fit:
        """Return the relation of a node to the template."""
        name = self._spec.nodeName
        if (name and name != node.metadata.name) or not selects(self._spec, node):
            return Fit.NO
        effects = {taint.effect for taint in node.spec.taints if not any(tolerates(one, taint) for one in self._tolerations)}
        if "NoExecute" in effects:
            return Fit.NO
        return Fit.STAY if "NoSchedule" in effects else Fit.RUN


def target_node(pod: SlimPod) -> str:
    """Return the node that a daemon pod is on or is made for, "" when it is made for none in particular."""
    if pod.spec.nodeName:
        return pod.spec.nodeName
    for requirement in named_nodes(pod.spec):
        if requirement.key == NODE_NAME and requirement.operator == "In":
            return requirement.values[0] if len(requirement.values) == 1 else ""
    return ""


def template_generation(daemon_set: apps.DaemonSet) -> str:
    """Return the number of the template, "" when it is missing or no number."""
    text = daemon_set.metadata.annotations.get(TEMPLATE_GENERATION, "")
    return text if text.isascii() and text.isdigit() else ""


def is_updated(labels: dict[str, str], revision: str, generation: str) -> bool:
    """Return whether a pod with these labels is of the current template."""
    by_hash = bool(revision) and labels.get(HASH_LABEL) == revision
    return by_hash or (bool(generation) and labels.get(GENERATION_LABEL) == generation)


def daemon_pod(daemon_set: apps.DaemonSet, node: str, revision: str) -> core.Pod:
    """Create the pod for a node; it shares parts of the template, so write it but do not change it."""
    template = daemon_set.spec.template
    pod = templated_pod(daemon_set, template)
    generation = template_generation(daemon_set)
    if generation:
        pod.metadata.labels[GENERATION_LABEL] = generation
    pod.metadata.labels[HASH_LABEL] = revision
    spec = template.spec
    pod.spec = msgspec.structs.replace(spec, tolerations=tolerations(spec), affinity=_pinned(spec.affinity, node))
    return pod


def _pinned(affinity: core.Affinity | None, node: str) -> core.Affinity:
    """Return the affinity with its required terms for nodes replaced by the one for this node, which meets them."""
    name = core.NodeSelectorRequirement(key=NODE_NAME, operator="In", values=[node])
    required = core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchFields=[name])])
    affinity = affinity or core.Affinity()
    mine = affinity.nodeAffinity or core.NodeAffinity()
    mine = msgspec.structs.replace(mine, requiredDuringSchedulingIgnoredDuringExecution=required)
    return msgspec.structs.replace(affinity, nodeAffinity=mine)
