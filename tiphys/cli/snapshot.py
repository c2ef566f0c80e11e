"""`tiphys snapshot`: save or restore the cluster's state as one file."""

from __future__ import annotations

from pathlib import Path

import click

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, settings_of
from tiphys.cli.processes import processes


@click.group()
def command() -> None:
    """Save or restore the cluster's state: all API objects, but neither images nor volumes."""


@command.command()
@data_dir_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def save(data_dir: Path, file: Path) -> None:
    """Write a consistent copy of the state to FILE. The cluster may be running."""
    from tiphys.daemon import snapshots

    try:
        revision = snapshots.save(settings_of(data_dir, {}), file)
    except snapshots.SnapshotError as error:
        raise Failure(str(error), code=1) from error
    click.echo(f"Saved revision {revision} to {file} ({file.stat().st_size / 1e6:.1f} MB). It contains Secrets: keep it safe.")


@command.command()
@data_dir_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def restore(data_dir: Path, file: Path) -> None:
    """Replace the state with the contents of FILE. The cluster must be stopped; the previous state is kept beside it."""
    from tiphys.daemon import snapshots

    settings = settings_of(data_dir, {})
    server, _ = processes(settings)
    if server.pid() or server.keeper_pid():
        raise Failure(f"the cluster in {settings.data_dir} is running: stop it with tiphys down, then restore", code=1)
    try:
        revision = snapshots.restore(settings, file)
    except snapshots.SnapshotError as error:
        raise Failure(str(error), code=1) from error
    click.echo(f"Restored {file}; the cluster will continue at revision {revision}. Start it with tiphys up.")
