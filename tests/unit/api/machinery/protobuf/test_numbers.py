"""The numbers fit the types, cost nothing before they are needed, and agree with the facts they were made from."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.api.machinery.protobuf.filling import types
from tiphys.api.machinery.introspect import describe
from tiphys.api.machinery.protobuf.messages import Message, message

ROOT = Path(__file__).resolve().parents[5]
FACTS = ROOT / "tests/data/protobuf-1.36.tsv"
"""Package, message, field, number and type, as Kubernetes 1.36 publishes them."""


def covered(about: Message) -> list[str]:
    names = []
    for member in about.members:
        names += covered(about.inner(member)) if member.field is None else [member.field.name]
    return names


@pytest.mark.parametrize("name", sorted(types()))
def test_every_field_has_one_number(name: str) -> None:
    about = message(types()[name])
    numbers = [member.number for member in about.members]
    assert len(set(numbers)) == len(numbers)
    found = covered(about)
    assert len(set(found)) == len(found)
    assert set(describe(types()[name]).fields) - set(found) <= {"apiVersion", "kind"}


def test_nothing_is_loaded_before_it_is_needed() -> None:
    said = (
        "import sys, tiphys.apiserver.chain.app, tiphys.api.kinds;"
        "print([name for name in sys.modules if 'protobuf' in name and not name.startswith('google')])"
    )
    out = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_numbers_are_those_of_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("protobuf_numbers", ROOT / "tools/protobuf_numbers.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    here = tool.TARGET
    monkeypatch.setattr(tool, "TARGET", tmp_path)
    monkeypatch.setattr(sys, "argv", ["protobuf_numbers.py", str(FACTS)])
    tool.main()
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in here.glob("*_v*.py")}
