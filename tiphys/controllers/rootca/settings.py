"""Settings of the publisher of the cluster's root certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCaSettings(LoopSettings):
    """Bundle to publish."""

    file: Annotated[
        str,
        Option(
            "--root-ca-file",
            "PEM file with the bundle by which pods trust the API server, published in every namespace.",
            metavar="FILE",
            is_file=True,
            default="the cluster's own, if known",
        ),
    ] = ""
    """Without it no `kube-root-ca.crt` is published."""

    @property
    def enabled(self) -> bool:
        return bool(self.file)
