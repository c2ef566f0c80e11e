"""`tiphys up`: start a cluster on this machine."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click

from tiphys.aio.clock import monotonic
from tiphys.cli.errors import EX_CONFIG, Failure
from tiphys.cli.options import VERBS, config_option, overrides_of, settings_from, settings_of, settings_options
from tiphys.cli.processes import Process, processes
from tiphys.daemon.saved import Overrides
from tiphys.daemon.settings import ClusterSettings

API_SECONDS = 30.0
NODE_SECONDS = 120.0
POLL_SECONDS = 0.05


@click.command()
@settings_options(VERBS["up"])
@config_option
@click.option("--wait/--no-wait", default=True, help="Wait until every node is Ready, or only until the API server is (default: --wait).")
@click.option("--foreground", is_flag=True, help="Stay in the foreground, and stop the cluster on SIGINT or SIGTERM.")
def command(data_dir: Path, wait: bool, foreground: bool, **options: Any) -> None:
    """Start a cluster in the background. Does nothing if it is already running."""
    overrides = overrides_of(data_dir, options)
    settings = settings_from(overrides)
    started = monotonic()
    server, node = processes(settings)
    if server.pid() and node.pid():
        if settings != settings_of(data_dir, {}):
            raise Failure("the cluster is running with different settings: run tiphys down, then tiphys up with the new ones")
        click.echo(f"The cluster in {settings.data_dir} is already running.")
    else:
        check_machine(settings)
        save(overrides)
    started_now = _start_missing(server, node)
    try:
        asyncio.run(_wait_ready(settings, server, node, wait=wait))
    except Failure as failure:
        if failure.code == EX_CONFIG:
            for process in reversed(started_now):
                process.stop()
        raise
    _print_summary(settings, monotonic() - started)
    if foreground:
        _wait_and_stop(server, node)


def _start_missing(*daemons: Process) -> list[Process]:
    """Start the daemons that are not running; returns them."""
    missing = [process for process in daemons if process.keeper_pid() is None]
    for process in missing:
        process.start()
    return missing


def save(overrides: Overrides) -> None:
    """Save the overrides of a cluster; raises Failure when the directory is not writable."""
    try:
        overrides.save()
    except OSError as error:
        raise Failure(f"{overrides.data_dir} is not writable ({error.strerror}): choose another directory with --data-dir") from error


def check_machine(settings: ClusterSettings) -> None:
    """Run the checks of `tiphys doctor`; raises Failure with every problem and its fix."""
    from tiphys.cli.checks import run_checks

    failed = [result for result in run_checks(settings) if result.status == "fail"]
    if failed:
        lines = [f"  {result.name}: {result.message}\n    fix: {result.fix}" for result in failed]
        raise Failure("this machine cannot run a cluster:\n" + "\n".join(lines))


async def _wait_ready(settings: ClusterSettings, server: Process, node: Process, *, wait: bool) -> None:
    from tiphys.api.core import v1 as core
    from tiphys.api.machinery.conditions import is_true
    from tiphys.api.machinery.errors import StatusError
    from tiphys.client import kubeconfig

    deadline = monotonic() + API_SECONDS
    while not settings.admin_kubeconfig.exists():
        _check_alive(server, deadline, "the API server")
        await asyncio.sleep(POLL_SECONDS)
    client = kubeconfig.load(settings.admin_kubeconfig)
    try:
        while True:
            try:
                response = await client.raw("GET", "/readyz")
                if response.status == 200:
                    break
            except (ConnectionError, StatusError):
                pass
            _check_alive(server, deadline, "the API server")
            await asyncio.sleep(POLL_SECONDS)
        deadline = monotonic() + NODE_SECONDS
        missing = set(settings.node_names) if wait else set()
        while True:
            try:
                if missing:
                    nodes = (await client.list(core.Node)).items
                    missing.difference_update(node.metadata.name for node in nodes if is_true(node.status.conditions, "Ready"))
                if not missing:
                    break
            except (ConnectionError, StatusError):
                pass
            _check_alive(node, deadline, "the node")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await client.close()


def _check_alive(process: Process, deadline: float, name: str) -> None:
    """Raise Failure when the process has ended for good or the deadline has passed."""
    if process.keeper_pid() is None and process.pid() is None:
        raise Failure(f"{name} failed to start:\n{process.log_tail()}", code=EX_CONFIG)
    if monotonic() > deadline:
        raise Failure(f"timed out waiting for {name}; last lines of {process.log_file}:\n{process.log_tail()}", code=1)


def _print_summary(settings: ClusterSettings, seconds: float) -> None:
    option = "" if settings.is_default else f" --data-dir {settings.data_dir}"
    nodes = f"{settings.hollow.count} hollow nodes" if settings.is_hollow else f"node {settings.node_name}"
    click.echo(f"Cluster ready in {seconds:.1f} s: {settings.server_url}, {nodes}")
    click.echo(f"  export KUBECONFIG={settings.admin_kubeconfig}")
    click.echo(f"  tiphys kubectl{option} get pods -A")
    click.echo(f"  tiphys status{option}       tiphys down{option} [--purge]")


def _wait_and_stop(server: Process, node: Process) -> None:
    """Wait for a signal, then stop the cluster."""
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    node.stop()
    server.stop()
