"""`tiphys server`: run the API server, the controllers and the scheduler in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.options import VERBS, config_option, settings_of, settings_options
from tiphys.cli.running import run_daemon


@click.command()
@settings_options(VERBS["server"])
@config_option
def command(data_dir: Path, **options: Any) -> None:
    """Run the API server, the controllers and the scheduler in the foreground."""
    from tiphys.daemon.server import Daemon

    settings = settings_of(data_dir, options)
    server = settings.apiserver
    run_daemon(
        Daemon(settings).run,
        log_level=settings.log_level,
        address=f"{server.bind}:{server.port}",
        option="--secure-port",
    )
