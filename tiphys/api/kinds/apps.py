"""Workloads: `apps`."""

from __future__ import annotations

from typing import Any

from tiphys.api.apps import v1 as apps
from tiphys.api.columns import workloads as columns
from tiphys.api.kinds.rules_other import ControllerRevisionRules, DeploymentRules, ReplicaSetRules
from tiphys.api.kinds.rules_workload import DaemonSetRules, StatefulSetRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import SCALE, STATUS

CONTROLLER_REVISIONS: Kind[apps.ControllerRevision] = Kind(
    type=apps.ControllerRevision,
    plural="controllerrevisions",
    rules=ControllerRevisionRules(),
    columns=columns.CONTROLLER_REVISIONS,
    group="apps",
)

DAEMON_SETS: Kind[apps.DaemonSet] = Kind(
    type=apps.DaemonSet,
    plural="daemonsets",
    rules=DaemonSetRules(),
    columns=columns.DAEMON_SETS,
    group="apps",
    short_names=("ds",),
    categories=("all",),
    subresources=(STATUS,),
    unattended=True,
)

DEPLOYMENTS: Kind[apps.Deployment] = Kind(
    type=apps.Deployment,
    plural="deployments",
    rules=DeploymentRules(),
    columns=columns.DEPLOYMENTS,
    group="apps",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)

REPLICA_SETS: Kind[apps.ReplicaSet] = Kind(
    type=apps.ReplicaSet,
    plural="replicasets",
    rules=ReplicaSetRules(),
    columns=columns.REPLICA_SETS,
    group="apps",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    selectable={"status.replicas": lambda replica_set: str(replica_set.status.replicas)},
)

STATEFUL_SETS: Kind[apps.StatefulSet] = Kind(
    type=apps.StatefulSet,
    plural="statefulsets",
    rules=StatefulSetRules(),
    columns=columns.STATEFUL_SETS,
    group="apps",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
