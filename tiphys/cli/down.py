"""`tiphys down`: stop a cluster, or remove it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, settings_of
from tiphys.cli.processes import processes
from tiphys.daemon.settings import ClusterSettings


@click.command()
@data_dir_option
@click.option("--purge", is_flag=True, help="Also remove all images, network configuration and state.")
def command(data_dir: Path, purge: bool) -> None:
    """Stop the cluster and its containers. State and images are kept unless --purge is given."""
    try:
        settings = settings_of(data_dir, {})
    except Failure:
        if not purge:
            raise
        settings = ClusterSettings(data_dir=str(data_dir.absolute()))
    server, node = processes(settings)
    ran = [process.stop() for process in (node, server)]
    from tiphys.daemon.remove import remove_files, stop_containers

    left = [] if settings.is_hollow else asyncio.run(stop_containers(settings, purge=purge))
    if purge:
        left += [one for directory in (settings.run_dir, settings.dir) for one in remove_files(directory)]
        if left:
            raise Failure("could not remove:\n" + "\n".join(f"  {item}" for item in left), code=1)
        click.echo(f"Removed the cluster in {settings.data_dir}.")
    else:
        click.echo(f"Stopped the cluster in {settings.data_dir}." if any(ran) else "No cluster was running.")
