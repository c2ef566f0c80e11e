"""Settings of a component's connection to an API server in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.settings.option import Option

UNLIMITED = -1.0


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Address of the API server, credentials for it, and the rate of requests."""

    kubeconfig: Annotated[
        Path | None,
        Option("--kubeconfig", "Kubeconfig of the API server.", default="the service account of its own pod"),
    ] = None
    master: Annotated[str, Option("--master", "URL of the API server, in place of the kubeconfig's.", metavar="URL", default="none")] = ""
    qps: Annotated[
        float,
        Option(
            "--kube-api-qps",
            "Maximum number of requests per second in the long run, of each controller; negative for no limit.",
            default="no limit",
        ),
    ] = UNLIMITED
    burst: Annotated[int, Option("--kube-api-burst", "Maximum number of requests at once where --kube-api-qps limits them.", minimum=1)] = (
        30
    )

    def faults(self) -> list[str]:
        """Return what is wrong with the settings."""
        if self.qps == 0:
            return ["--kube-api-qps=0 lets no request through: give a positive number, or a negative one for no limit"]
        return []
