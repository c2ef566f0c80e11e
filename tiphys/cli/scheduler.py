"""`tiphys scheduler`: run the scheduler against an API server in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.options import VERBS, field_options, settings_alone
from tiphys.cli.running import run_daemon


@click.command()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with a KubeSchedulerConfiguration document, which options override (default: none).",
)
@field_options(VERBS["scheduler"])
def command(config: Path | None, **options: Any) -> None:
    """Run the scheduler in the foreground, against any API server. With several processes, one is active and the others stand by."""
    from tiphys.daemon.component import Component

    settings = settings_alone("scheduler", options, config)
    serving = settings.scheduler.serving
    address = f"{serving.bind_address}:{serving.port}"
    run_daemon(Component(settings).run_scheduler, log_level=settings.log_level, address=address, option="--secure-port")
