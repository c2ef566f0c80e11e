"""Settings of the node lifecycle controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings(LoopSettings):
    """Grace periods of nodes without heartbeats, in seconds."""

    grace: Annotated[
        float,
        Option(
            "--node-monitor-grace-period",
            "Time without heartbeats after which a node's state is unknown.",
            metavar="DURATION",
            is_duration=True,
            minimum=1,
        ),
    ] = 40.0
    startup_grace: Annotated[
        float,
        Option(
            "--node-startup-grace-period",
            "Time that a new node has for its first heartbeat.",
            metavar="DURATION",
            is_duration=True,
            minimum=1,
        ),
    ] = 60.0
