"""Every kind that is served. To add one: declare a `Kind` in its module and list it in KINDS of its group."""

from __future__ import annotations

from tiphys.api.admissionregistration import kinds as admissionregistration
from tiphys.api.apiextensions import custom_resource_definition as apiextensions
from tiphys.api.apiregistration import api_service as apiregistration
from tiphys.api.apps import kinds as apps
from tiphys.api.authentication import reviews as authentication
from tiphys.api.authorization import reviews as authorization
from tiphys.api.autoscaling import horizontal_pod_autoscaler as autoscaling
from tiphys.api.batch import kinds as batch
from tiphys.api.certificates import certificate_signing_request as certificates
from tiphys.api.coordination import lease as coordination
from tiphys.api.core import kinds as core
from tiphys.api.discovery import endpoint_slice as discovery
from tiphys.api.events import event as events
from tiphys.api.flowcontrol import kinds as flowcontrol
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.metrics import kinds as metrics
from tiphys.api.networking import kinds as networking
from tiphys.api.node import runtime_class as node
from tiphys.api.policy import pod_disruption_budget as policy
from tiphys.api.rbac import kinds as rbac
from tiphys.api.resource import kinds as resource
from tiphys.api.scheduling import priority_class as scheduling
from tiphys.api.storage import kinds as storage

__all__ = ["SCHEME"]

_GROUPS = (
    core,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    discovery,
    events,
    flowcontrol,
    metrics,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
    admissionregistration,
    apiextensions,
    apiregistration,
)

SCHEME = Scheme(kind for group in _GROUPS for kind in group.KINDS)
