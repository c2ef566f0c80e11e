"""The core group."""

from __future__ import annotations

from typing import Any

from tiphys.api.core.binding import BINDINGS
from tiphys.api.core.component_status import COMPONENT_STATUSES
from tiphys.api.core.config_map import CONFIG_MAPS
from tiphys.api.core.endpoints import ENDPOINTS
from tiphys.api.core.event import EVENTS
from tiphys.api.core.limit_range import LIMIT_RANGES
from tiphys.api.core.namespace import NAMESPACES
from tiphys.api.core.node import NODES
from tiphys.api.core.persistent_volume import PERSISTENT_VOLUMES
from tiphys.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from tiphys.api.core.pod_template import POD_TEMPLATES
from tiphys.api.core.pods.kind import PODS
from tiphys.api.core.replication_controller import REPLICATION_CONTROLLERS
from tiphys.api.core.resource_quota import RESOURCE_QUOTAS
from tiphys.api.core.secret import SECRETS
from tiphys.api.core.service import SERVICES
from tiphys.api.core.service_account import SERVICE_ACCOUNTS
from tiphys.api.machinery.scheme import Kind

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
