"""No default of a setting is stated twice, and settings are cheap to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiphys
from tiphys.controllers.registry import LOOPS
from tiphys.daemon.settings import ClusterSettings
from tiphys.settings.layers import convert, to_builtins
from tiphys.settings.option import Field, bound, fields, is_part

ROOT = Path(tiphys.__file__).parent
ELSEWHERE = {
    ("default-scheduler", "api/core/pods/defaults.py"),  # A default of the API, which the scheduler's name is equal to.
    (10250, "apiserver/kubelet.py"),  # The port of a Node that names none.
    ("/metrics", "apiserver/chain/paths.py"),  # Paths of the API server, not of the sidecar's pages.
}
"""Equal values that mean something else."""


def parts(type_: type) -> Iterator[tuple[type, Field]]:
    """Walk a tree: every field with the type that has it."""
    for field in fields(type_):
        yield type_, field
        if is_part(field.type):
            yield from parts(field.type)


def distinctive() -> set[object]:
    """Default values that nothing else has by chance."""
    found: set[object] = set()
    for _, field in parts(ClusterSettings):
        for value in field.default if isinstance(field.default, tuple) else (field.default,):
            if (
                isinstance(value, str) and any(mark in value for mark in "/-.") and value not in ("127.0.0.1", "0.0.0.0", "kube-system")
            ) or (type(value) is int and value > 4096):
                found.add(value)
    return found


def constants() -> Iterator[tuple[object, str, int]]:
    """Yield the constants of the code, with their places; documentation is not code."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and type(node.value) in (str, int):
                yield node.value, str(path.relative_to(ROOT)), node.lineno


def test_distinctive_defaults_stand_in_one_place() -> None:
    wanted = distinctive()
    assert {"10.42.0.0/16", "cluster.local", 6443, 10250, 12500} <= wanted
    places: dict[object, list[str]] = defaultdict(list)
    for value, path, line in constants():
        if value in wanted and (value, path) not in ELSEWHERE:
            places[value].append(f"{path}:{line}")
    assert {value: found for value, found in places.items() if len(found) > 1} == {}


def literal_defaults() -> dict[str, list[str]]:
    """Fields of settings whose default is a literal that is not empty, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("settings.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            for line in node.body:
                if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or not isinstance(line.value, ast.Constant):
                    continue
                if line.value.value not in ("", None, 0, True, False):
                    found[line.target.id].append(f"{path.relative_to(ROOT)}: {node.name} = {line.value.value!r}")
    return found


def test_settings_that_several_components_need_have_one_default() -> None:
    """A field that is there twice refers to one default, unless it means another thing in each place."""
    other_meanings = {"bind", "bind_address", "port", "grace"}
    assert {name: places for name, places in literal_defaults().items() if len(places) > 1 and name not in other_meanings} == {}


def test_the_tree_has_defaults_for_everything_but_its_directory() -> None:
    assert [field.name for _, field in parts(ClusterSettings) if field.required] == ["data_dir"]


def test_defaults_have_the_type_of_their_field() -> None:
    """A default of another type would be refused when it is read back."""
    settings = ClusterSettings(data_dir="/d", node_name="n")
    assert convert(ClusterSettings, to_builtins(settings)) == settings


def test_settings_of_every_loop_are_in_the_tree() -> None:
    reachable = {field.type for _, field in parts(ClusterSettings)}
    declared = {loop.declaration.settings for loop in LOOPS} - {None}
    assert declared - reachable == set(), "add a field to ControllerManagerSettings"


@pytest.mark.parametrize("one", bound(ClusterSettings), ids=lambda one: ".".join(one.path))
def test_options_have_help_and_a_default_to_show(one) -> None:  # type: ignore[no-untyped-def]
    assert one.option.help[0].isupper()
    assert one.option.help.endswith(".")
    assert "default" not in one.option.help.replace("enabled by default", "")
    assert one.default_text or one.option.name in ("enable_admission_plugins", "disable_admission_plugins")


def test_settings_are_read_without_the_types_of_the_api() -> None:
    """Every command imports the settings, `tiphys --help` too; the types take several times as long as all of them."""
    code = "import sys, tiphys.daemon.settings; print(*(name for name in sys.modules if name.startswith('tiphys.api.core')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
