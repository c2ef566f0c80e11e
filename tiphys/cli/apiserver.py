"""`tiphys apiserver`: run only the API server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from tiphys.cli.options import VERBS, settings_of, settings_options
from tiphys.cli.running import run_daemon


@click.command()
@settings_options(VERBS["apiserver"])
def command(data_dir: Path, **options: Any) -> None:
    """Run the API server in the foreground, without controllers and scheduler."""
    from tiphys.daemon.server import Daemon

    settings = settings_of(data_dir, options)
    daemon = Daemon(settings)

    async def run(stop: asyncio.Event) -> None:
        await daemon.run(stop, parts=("apiserver",))

    server = settings.apiserver
    run_daemon(run, log_level=settings.log_level, address=f"{server.bind}:{server.port}", option="--secure-port")
