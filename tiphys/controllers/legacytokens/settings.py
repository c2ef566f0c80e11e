"""Settings of the cleaner of legacy tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTokenSettings(LoopSettings):
    """Age of unused tokens, in seconds."""

    period: Annotated[
        float,
        Option(
            "--legacy-service-account-token-clean-up-period",
            "Time without a use after which a generated token Secret is marked, and again until it is deleted.",
            metavar="DURATION",
            is_duration=True,
            minimum=1,
        ),
    ] = 365 * 86400.0
