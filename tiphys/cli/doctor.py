"""`tiphys doctor`: whether this machine can run a cluster, and the fix for whatever keeps it from that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.checks import CheckResult, run_checks
from tiphys.cli.options import settings_of, settings_options

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@settings_options
def command(data_dir: Path, **given: Any) -> None:
    """Check everything that a start needs, with the fix for each thing that is missing. Exits with 1 when something fails."""
    settings = settings_of(data_dir, given)
    results = run_checks(settings)
    width = max(len(result.name) for result in results)
    for result in results:
        _show(result, width)
    failed = sum(result.status == "fail" for result in results)
    warned = sum(result.status == "warn" for result in results)
    click.echo()
    if failed:
        click.echo(f"{_things(failed)} to mend before a cluster can start.")
        raise SystemExit(1)
    click.echo("This machine is ready for a cluster." + (f" {_things(warned)} worth a look." if warned else ""))


def _things(count: int) -> str:
    return "One thing" if count == 1 else f"{count} things"


def _show(result: CheckResult, width: int) -> None:
    mark, color = _MARKS[result.status]
    click.echo(f"{click.style(mark, fg=color)}  {result.name:<{width}}  {result.message}")
    if result.fix and result.status != "ok":
        click.echo(f"      {'':<{width}}  fix: {result.fix}")
