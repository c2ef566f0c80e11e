"""The link between the API and a storage driver: provisioning, attaching, resizing, snapshots and capacity.

For a driver of the node's own process, the composition of that process needs three names:

    facts = await learn(driver, clock=clock)                       # waits until the driver is ready
    loops = node_loops(driver, facts, ProvisionSettings(node=name))
    manager.add_all(loops)                                         # or add_all(loops, workers=lambda name: 10)

`node_loops` provisions the claims whose selected node is this one, deletes the volumes that only this node can reach, and resizes them:
no leader election. Loops of a driver behind a socket are the same classes; `parts` puts them together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.sidecar.facts import DriverFacts, learn
    from tiphys.sidecar.parts import node_loops
    from tiphys.sidecar.settings import ProvisionSettings

__all__ = ["DriverFacts", "ProvisionSettings", "learn", "node_loops"]

_HOMES = {"DriverFacts": "facts", "ProvisionSettings": "settings", "learn": "facts", "node_loops": "parts"}


def __getattr__(name: str) -> Any:
    """Import on use: every process reads the settings, and few need the messages of the interface."""
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"tiphys.sidecar.{_HOMES[name]}"), name)
