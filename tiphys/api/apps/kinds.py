"""Workloads: `apps`."""

from __future__ import annotations

from typing import Any

from tiphys.api.apps.controller_revision import CONTROLLER_REVISIONS
from tiphys.api.apps.daemon_set import DAEMON_SETS
from tiphys.api.apps.deployment import DEPLOYMENTS
from tiphys.api.apps.replica_set import REPLICA_SETS
from tiphys.api.apps.stateful_set import STATEFUL_SETS
from tiphys.api.machinery.scheme import Kind

KINDS: tuple[Kind[Any], ...] = (CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
