"""Settings of the pod garbage collector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class PodCollectorSettings(LoopSettings):
    """Limits on finished pods and on the absence of nodes."""

    threshold: Annotated[
        int,
        Option(
            "--terminated-pod-gc-threshold",
            "Maximum number of finished pods, beyond which the oldest are removed, 0 to keep all.",
            minimum=0,
        ),
    ] = 12500
    missing_grace: float = 40.0
    """Seconds that a node must be missing before its pods are removed."""
