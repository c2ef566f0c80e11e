"""Roles and bindings: `rbac.authorization.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.rbac.role import CLUSTER_ROLES, ROLES
from tiphys.api.rbac.role_binding import CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS

KINDS: tuple[Kind[Any], ...] = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
