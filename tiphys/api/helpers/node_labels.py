"""Labels of nodes that have new names, and the warnings for those who still use them."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core.v1 import NodeSelectorRequirement
from tiphys.api.meta.v1 import LabelSelectorRequirement

DEPRECATED = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}


def expression_warnings(path: str, requirements: Sequence[NodeSelectorRequirement | LabelSelectorRequirement]) -> list[str]:
    """Warnings about the keys of the requirements at `path`."""
    return [
        f"{path}[{index}].key: {requirement.key} is {DEPRECATED[requirement.key]}"
        for index, requirement in enumerate(requirements)
        if requirement.key in DEPRECATED
    ]
