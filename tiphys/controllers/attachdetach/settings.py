"""Settings of the loops that attach and detach volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachDetachSettings(LoopSettings):
    """Times of detaching, in seconds."""

    no_force_on_timeout: Annotated[
        bool,
        Option(
            "--disable-force-detach-on-timeout",
            "Never detach a volume that an unhealthy node has in use, unless the node is tainted as out of service.",
        ),
    ] = False
    no_resync: Annotated[
        bool, Option("--disable-attach-detach-reconcile-sync", "Look at a node's attachments only when something about them changed.")
    ] = False
    resync: Annotated[
        float,
        Option(
            "--attach-detach-reconcile-sync-period",
            "Time after which the attachments of a node are looked at again when nothing changed.",
            metavar="DURATION",
            is_duration=True,
            minimum=1,
        ),
    ] = 60.0
    patience: float = 360.0
    """Time that an unhealthy node has to unmount a volume before it is detached by force."""
