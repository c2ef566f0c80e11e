"""Settings of a component's connection to an API server in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.settings.option import Option


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Address of the API server, and credentials for it."""

    kubeconfig: Annotated[
        Path | None,
        Option("--kubeconfig", "Kubeconfig of the API server.", default="the service account of its own pod"),
    ] = None
