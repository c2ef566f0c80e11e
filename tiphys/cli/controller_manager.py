"""`tiphys controller-manager`: run the controllers against an API server in another process."""

from __future__ import annotations

from typing import Any

import click

from tiphys.cli.options import VERBS, field_options, settings_alone
from tiphys.cli.running import run_daemon


@click.command()
@field_options(VERBS["controller-manager"])
def command(**options: Any) -> None:
    """Run the controllers in the foreground, against any API server. With several processes, one is active and the others stand by."""
    from tiphys.daemon.component import Component

    settings = settings_alone("controller-manager", options)
    serving = settings.controllers.serving
    address = f"{serving.bind_address}:{serving.port}"
    run_daemon(Component(settings).run_controllers, log_level=settings.log_level, address=address, option="--secure-port")
