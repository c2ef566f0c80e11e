"""`tiphys csi-sidecar`: provision, attach, resize and snapshot for one storage driver."""

from __future__ import annotations

from typing import Any

import click

from tiphys.cli.options import VERBS, field_options, settings_alone
from tiphys.cli.running import run_daemon


@click.command()
@field_options(VERBS["csi-sidecar"])
def command(**options: Any) -> None:
    """Run the sidecar of a CSI driver in the foreground, against any API server. It provisions, attaches, resizes and snapshots volumes, as
    far as the driver supports it.
    """
    from tiphys.daemon.sidecar import Sidecar

    settings = settings_alone("csi-sidecar", options)
    sidecar = Sidecar(settings)
    run_daemon(sidecar.run, log_level=settings.log_level, address=settings.sidecar.http_endpoint, option="--http-endpoint")
