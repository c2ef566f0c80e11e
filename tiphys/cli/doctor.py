"""`tiphys doctor`: check that this machine can run a cluster, and print a fix for each problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.checks import CheckResult, run_checks
from tiphys.cli.options import VERBS, config_option, settings_of, settings_options

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@settings_options(VERBS["up"])
@config_option
def command(data_dir: Path, **options: Any) -> None:
    """Check this machine for everything that a cluster needs, and print a fix for each problem. Exits with 1 if a check fails."""
    settings = settings_of(data_dir, options)
    results = run_checks(settings)
    width = max(len(result.name) for result in results)
    for result in results:
        _show(result, width)
    failed = sum(result.status == "fail" for result in results)
    warned = sum(result.status == "warn" for result in results)
    click.echo()
    if failed:
        click.echo(f"{_count(failed, 'problem')} must be fixed before a cluster can start.")
        raise SystemExit(1)
    click.echo("This machine is ready for a cluster." + (f" {_count(warned, 'warning')}." if warned else ""))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _show(result: CheckResult, width: int) -> None:
    mark, color = _MARKS[result.status]
    click.echo(f"{click.style(mark, fg=color)}  {result.name:<{width}}  {result.message}")
    if result.fix and result.status != "ok":
        click.echo(f"      {'':<{width}}  fix: {result.fix}")
