"""`tiphys apiserver`: run only the API server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from tiphys.cli.options import settings_of, settings_options
from tiphys.cli.running import run_daemon


@click.command()
@settings_options
def command(data_dir: Path, **options: Any) -> None:
    """Run the API server in the foreground, without controllers and scheduler."""
    from tiphys.daemon.server import Daemon

    settings = settings_of(data_dir, options)
    daemon = Daemon(settings)

    async def run(stop: asyncio.Event) -> None:
        await daemon.run(stop, parts=("apiserver",))

    run_daemon(run, log_level=settings.log_level, address=f"{settings.bind}:{settings.secure_port}", option="--secure-port")
