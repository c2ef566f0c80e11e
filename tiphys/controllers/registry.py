"""All control loops of a cluster, for `Manager.add`."""

from __future__ import annotations

from tiphys.controllers.deployment.controller import DeploymentController
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.namespace.controller import NamespaceController
from tiphys.controllers.replicaset.controller import ReplicaSetController
from tiphys.controllers.rootca.controller import RootCaController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.controllers.settings import ControllerSettings
from tiphys.runtime import Controller


def all_controllers(settings: ControllerSettings) -> list[Controller]:
    """One of each. They keep state of their own, so a new manager needs new ones."""
    controllers: list[Controller] = [
        DeploymentController(),
        ReplicaSetController(),
        EndpointsController(),
        NamespaceController(settings.scheme),
        ServiceAccountController(),
    ]
    if settings.ca_pem:
        controllers.append(RootCaController(settings.ca_pem))
    return controllers
