"""Settings of the server on which a component in a process of its own shows its health and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.settings.option import Option

SECURE_PORT = Option("--secure-port", "HTTPS port of health checks and metrics, 0 to disable them.", minimum=0, maximum=65535)
"""Option of a component's port."""


class ServingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Address and certificate. Each component has a default port of its own."""

    port: Annotated[int, SECURE_PORT] = 0
    bind_address: Annotated[str, Option("--bind-address", "IP address of health checks and metrics.", metavar="ADDRESS")] = "0.0.0.0"
    tls_cert: Annotated[Path | None, Option("--tls-cert-file", "PEM file of the certificate for HTTPS.", default="a self-signed one")] = (
        None
    )
    tls_key: Annotated[Path | None, Option("--tls-private-key-file", "PEM file of the key for HTTPS.", default="a new one")] = None

    authentication_kubeconfig: Annotated[
        Path | None,
        Option("--authentication-kubeconfig", "Kubeconfig for reviews of the tokens of callers.", default="that of the component"),
    ] = None
    authorization_kubeconfig: Annotated[
        Path | None,
        Option("--authorization-kubeconfig", "Kubeconfig for reviews of the rights of callers.", default="that of the component"),
    ] = None

    def faults(self) -> list[str]:
        """Return what is wrong with the settings."""
        if (self.tls_cert is None) != (self.tls_key is None):
            return ["--tls-cert-file and --tls-private-key-file go together: give both or neither"]
        return []
