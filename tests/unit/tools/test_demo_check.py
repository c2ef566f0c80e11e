"""Commands suggested by `make up` work as they stand, whatever the shell's KUBECONFIG names."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tiphys.daemon.settings import default_data_dir

FILE = Path(__file__).resolve().parents[3] / "tools" / "demo_check.py"
COMMANDS = ("t kubectl{} get pods", "t kubectl{} run ask -q --rm -it", "t kubectl{} delete pod", "t kubectl{} apply", "t status{}\n")


@pytest.mark.parametrize(
    ("environment", "option"),
    [
        ({}, ""),
        ({"KUBECONFIG": "/other"}, f" --data-dir {default_data_dir()}"),
        ({"TIPHYS_DATA_DIR": "/my data"}, " --data-dir '/my data'"),
        ({"KUBECONFIG": "/other", "TIPHYS_DATA_DIR": "/data"}, " --data-dir /data"),
    ],
)
def test_suggestions_name_the_cluster(environment: dict[str, str], option: str) -> None:
    spec = importlib.util.spec_from_file_location("demo_check", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = module.suggestions("t", environment)
    for command in COMMANDS:
        assert command.format(option) in said
