"""`tiphys node`: run this machine as a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.options import VERBS, config_option, settings_of, settings_options
from tiphys.cli.running import run_daemon


@click.command()
@settings_options(VERBS["node"])
@config_option
def command(data_dir: Path, **given: Any) -> None:
    """Run the kubelet, the service proxy and cluster DNS in the foreground. Containers keep running when it ends."""
    from tiphys.daemon.node import NodeDaemon

    settings = settings_of(data_dir, given)
    port = settings.kubelet.port
    run_daemon(NodeDaemon(settings).run, log_level=settings.log_level, address=f"port {port}", option="--kubelet-port")
