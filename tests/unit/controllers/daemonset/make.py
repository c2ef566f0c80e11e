"""DaemonSets, nodes and daemon pods in the states that plans look at."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.make import slim_pod, template, whole_pod
from tiphys.api.apps import v1 as apps
from tiphys.api.apps.daemon_set import default_daemon_set
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.daemonset.placement import GENERATION_LABEL, TEMPLATE_GENERATION, daemon_pod
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.shared.slim import SlimPod

NEW, OLD = "new", "old"
"""Hashes of the current and of a former template."""


def daemon_set(
    *,
    surge: IntOrString = 0,
    unavailable: IntOrString = 1,
    strategy: str = "RollingUpdate",
    image: str = "a",
    pod_spec: dict[str, Any] | None = None,
    **spec: Any,
) -> apps.DaemonSet:
    rolling = apps.RollingUpdateDaemonSet(maxSurge=surge, maxUnavailable=unavailable) if strategy == "RollingUpdate" else None
    made = apps.DaemonSet(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-web", generation=3, annotations={TEMPLATE_GENERATION: "2"}),
        spec=apps.DaemonSetSpec(
            selector=LabelSelector(matchLabels={"app": "web"}),
            template=template(image),
            updateStrategy=apps.DaemonSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
            **spec,
        ),
    )
    for name, value in (pod_spec or {}).items():
        setattr(made.spec.template.spec, name, value)
    default_daemon_set(made)
    return made


def node(name: str = "n1", *taints: tuple[str, str], **labels: str) -> core.Node:
    """A node with taints (key and effect) and labels."""
    marks = [core.Taint(key=key, effect=effect) for key, effect in taints]
    return core.Node(metadata=ObjectMeta(name=name, labels=labels), spec=core.NodeSpec(taints=marks))


def daemon(name: str = "p", *, node: str = "n1", revision: str = NEW, bound: bool = True, **state: Any) -> SlimPod:
    """A pod of the DaemonSet, by its former or present template; see `make.whole_pod`."""
    labels = {"app": "web", HASH_LABEL: revision, GENERATION_LABEL: "2" if revision == NEW else "1"}
    whole = whole_pod(name, node=node if bound else "", labels=labels, **state)
    if not bound:
        whole.spec.affinity = daemon_pod(daemon_set(), node, revision).spec.affinity
    return slim_pod(whole)
