"""All control loops of a cluster, for `Manager.add`."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import KubeObject
from tiphys.controllers.deployment.controller import DeploymentController
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.garbage.controller import GarbageCollector
from tiphys.controllers.namespace.controller import NamespaceController
from tiphys.controllers.replicaset.controller import ReplicaSetController
from tiphys.controllers.rootca.controller import RootCaController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.controllers.settings import ControllerSettings
from tiphys.runtime import Controller

WHOLE: tuple[type[KubeObject], ...] = (
    apps.Deployment,
    apps.ReplicaSet,
    core.Endpoints,
    core.Namespace,
    core.Node,
    core.Pod,
    core.Service,
    core.ServiceAccount,
    discovery.EndpointSlice,
)
"""Kinds of which the other controllers keep whole objects; the garbage collector reads theirs."""


def all_controllers(settings: ControllerSettings) -> list[Controller]:
    """One of each. They keep state of their own, so a new manager needs new ones."""
    controllers: list[Controller] = [
        DeploymentController(),
        ReplicaSetController(),
        EndpointsController(),
        GarbageCollector(settings.scheme, WHOLE),
        NamespaceController(settings.scheme),
        ServiceAccountController(),
    ]
    if settings.ca_pem:
        controllers.append(RootCaController(settings.ca_pem))
    return controllers
