"""Selection of the cluster by `tiphys kubectl`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiphys.cli.kubectl import names_kubeconfig


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--kubeconfig", "f", "get", "pods"], True),
        (["get", "pods", "--kubeconfig=f"], True),
        (["get", "pods"], False),
        (["exec", "p", "--", "kubectl", "--kubeconfig", "f"], False),
    ],
)
def test_names_kubeconfig(arguments: list[str], expected: bool) -> None:
    assert names_kubeconfig(arguments) is expected


CONFIG = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: {}\n"


@pytest.mark.parametrize(
    ("option", "directory", "environment", "expected"),
    [
        (True, True, True, "option"),
        (False, True, True, "directory"),
        (False, False, True, "environment"),
    ],
)
def test_precedence(tmp_path: Path, option: bool, directory: bool, environment: bool, expected: str) -> None:
    (tmp_path / "cluster").mkdir()
    for name, path in (("option", "option"), ("environment", "environment"), ("directory", "cluster/admin.kubeconfig")):
        (tmp_path / path).write_text(CONFIG.format(name))
    command = [sys.executable, "-m", "tiphys", "kubectl"]
    command += ["--data-dir", str(tmp_path / "cluster")] if directory else []
    command += ["--kubeconfig", str(tmp_path / "option")] if option else []
    env = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "TIPHYS_DATA_DIR")}
    env |= {"KUBECONFIG": str(tmp_path / "environment")} if environment else {}
    done = subprocess.run([*command, "config", "current-context"], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == expected, done.stderr
