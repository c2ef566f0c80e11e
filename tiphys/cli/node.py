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
@click.option("--count", type=click.IntRange(min=1), metavar="NUMBER", help="The same as --hollow-nodes.")
def command(data_dir: Path, count: int | None, **options: Any) -> None:
    """Run the kubelet, the service proxy and cluster DNS in the foreground, or hollow nodes. Containers keep running when it ends."""
    if count is not None:
        options["hollow_nodes"] = count
    settings = settings_of(data_dir, options)
    if settings.is_hollow:
        from tiphys.daemon.hollow import HollowDaemon

        run_daemon(HollowDaemon(settings).run, log_level=settings.log_level)
        return
    from tiphys.daemon.node import NodeDaemon

    port = settings.kubelet.port
    run_daemon(NodeDaemon(settings).run, log_level=settings.log_level, address=f"port {port}", option="--kubelet-port")
