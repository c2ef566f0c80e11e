"""The `tiphys` command: one verb per module, imported on use, so that `tiphys --help` stays fast."""

from __future__ import annotations

import importlib
import sys

import click

VERBS = {
    "up": "Start a cluster on this machine.",
    "down": "Stop the cluster; with --purge, remove every trace of it.",
    "status": "Show the state of the cluster's processes, nodes and pods.",
    "doctor": "Check that this machine can run a cluster, and print fixes.",
    "server": "Run the API server, controllers and scheduler in the foreground.",
    "apiserver": "Run only the API server, in the foreground.",
    "controller-manager": "Run only the controllers, in the foreground, against any API server.",
    "scheduler": "Run only the scheduler, in the foreground, against any API server.",
    "csi-sidecar": "Run the sidecar of a CSI driver, in the foreground, against any API server.",
    "node": "Run the kubelet, service proxy and DNS in the foreground.",
    "token": "Create tokens for service accounts.",
    "snapshot": "Save or restore the cluster's state.",
    "images": "Build or load images without a registry.",
    "logs": "List and read logs of deleted pods.",
    "kubectl": "Run kubectl against this cluster.",
}
"""Verbs with their help texts."""


class Verbs(click.Group):
    """Command group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"tiphys.cli.{name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tiphys")
def cli() -> None:
    """Kubernetes written in Python: a cluster from one command."""


def main() -> None:
    """Run the command line; report failures that the user can fix in one sentence."""
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
