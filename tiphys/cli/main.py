"""The `tiphys` command: one verb per module, imported when it is called, so that `tiphys --help` stays quick."""

from __future__ import annotations

import importlib
import sys

import click

VERBS = {
    "up": "Start a cluster on this machine.",
    "down": "Stop the cluster; --purge removes every trace of it.",
    "status": "Show what runs and whether it is well.",
    "doctor": "Check what a start needs, and print the fix for what is missing.",
    "server": "Run the API server, the controllers and the scheduler.",
    "apiserver": "Run the API server alone.",
    "node": "Run the node agent, the service proxy and cluster DNS.",
    "token": "Make tokens for service accounts.",
    "snapshot": "Save and restore the cluster's state.",
    "images": "Build the images that need no registry.",
    "kubectl": "Run kubectl against this cluster.",
}
"""Verb to the line that help shows."""


class Verbs(click.Group):
    """Loads a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"tiphys.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tiphys")
def cli() -> None:
    """Kubernetes written in Python: a cluster from one command."""


def main() -> None:
    """The entry point: failures that the user can mend end in one sentence."""
    from tiphys.cli.errors import Failure

    try:
        cli(prog_name="tiphys")
    except Failure as failure:
        print(f"tiphys: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except OSError as error:
        from tiphys.daemon.failures import explain

        sentence = explain(error)
        if sentence is None:
            raise
        print(f"tiphys: {sentence}", file=sys.stderr)
        sys.exit(1)
