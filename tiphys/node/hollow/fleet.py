"""Fleet of hollow nodes: two control loops that play the kubelets of all of them, over one client.

fleet = Fleet(HollowSettings(count=1000), client)
await fleet.run()
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tiphys.aio.clock import Clock, LoopClock
from tiphys.client.client import Client
from tiphys.node.hollow.addresses import node_address
from tiphys.node.hollow.nodes import HollowNodeController
from tiphys.node.hollow.pods import HollowPodController
from tiphys.node.hollow.rules import Rule, read_rules
from tiphys.node.hollow.settings import HollowSettings
from tiphys.runtime import Manager

WORKERS = 32
"""Requests under way at once, of each loop."""


class Fleet:
    """The nodes of one process. `rules` come before those of the file; raises BehaviorError when that is wrong."""

    def __init__(
        self,
        settings: HollowSettings,
        client: Client,
        *,
        rules: Sequence[Rule] = (),
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        rules = [*rules, *(read_rules(settings.rules) if settings.rules is not None else ())]
        hosts = {name: node_address(number) for number, name in enumerate(settings.node_names)}
        self._manager = Manager(client, clock=clock or LoopClock(), name="hollow", rng=rng)
        self._manager.add(HollowNodeController(settings, hosts), workers=WORKERS)
        self._manager.add(HollowPodController(hosts, rules), workers=WORKERS)

    @property
    def synced(self) -> bool:
        """True once the caches are filled: nodes are registered and pods run from then on."""
        return self._manager.synced

    async def run(self) -> None:
        """Run the nodes and their pods until cancelled. The objects stay, and the next process takes them over."""
        await self._manager.run()
