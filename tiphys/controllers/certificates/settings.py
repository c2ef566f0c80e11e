"""Settings of the controllers of certificate signing requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSettings(LoopSettings):
    """Authority that signs certificate requests. The PEM files are reread for each request, as they may be replaced."""

    certificate: Annotated[
        str,
        Option(
            "--cluster-signing-cert-file",
            "PEM file of the CA certificate that signs.",
            metavar="FILE",
            is_file=True,
            default="the cluster's own, if known",
        ),
    ] = ""
    key: Annotated[
        str,
        Option(
            "--cluster-signing-key-file", "PEM file of the CA's key.", metavar="FILE", is_file=True, default="the cluster's own, if known"
        ),
    ] = ""
    """Without it nothing is signed; only the controller that signs opens the key."""
    duration: Annotated[
        float,
        Option(
            "--cluster-signing-duration",
            "Lifetime of certificates that request none or a longer one.",
            metavar="DURATION",
            is_duration=True,
            minimum=1,
        ),
    ] = 365 * 86400.0

    @property
    def enabled(self) -> bool:
        return bool(self.key)
