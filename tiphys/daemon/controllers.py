"""The controllers of a cluster, as its settings choose them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiphys.controllers.registry import all_controllers
from tiphys.controllers.selection import UnknownControllers, chosen
from tiphys.controllers.settings import ControllerSettings
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.runtime import Controller
from tiphys.settings.option import replaced


def controllers_of(settings: ClusterSettings, *, certificate: Path | None = None, key: Path | None = None) -> list[Controller]:
    """Return the controllers to run. `certificate` and `key` are the cluster's authority where it is known.

    Raises SettingsError for names of controllers that do not exist.
    """
    manager = settings.controllers
    root_ca, signing = manager.root_ca, manager.signing
    if certificate is not None and not root_ca.file:
        root_ca = replaced(root_ca, file=str(certificate))
    if certificate is not None and key is not None and not signing.certificate and not signing.key:
        signing = replaced(signing, certificate=str(certificate), key=str(key))
    node_ipam = replaced(manager.node_ipam, cluster_cidr=settings.network.pod_range)
    parts: ControllerSettings = msgspec.structs.replace(manager, root_ca=root_ca, signing=signing, node_ipam=node_ipam).loops()
    check_names(settings)
    return chosen(manager.controllers, all_controllers(parts))


def check_names(settings: ClusterSettings) -> None:
    """Raise SettingsError for names of controllers that do not exist."""
    try:
        chosen(settings.controllers.controllers, ())
    except UnknownControllers as error:
        raise SettingsError(str(error)) from error
