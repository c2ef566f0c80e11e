"""READMEs, docs/ and design documents: every file, folder and module that they name in backticks exists.

A path is relative to the folder of its DESIGN.md, to `tiphys/`, or to the root of the repository. It may also be relative to a folder that
its paragraph, or its row of a table, has named before. A dotted name (`node.pod.plan`) counts when it begins with a package of Tiphys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tiphys.api.kinds import SCHEME

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "tiphys"
PAGES = (*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted(PACKAGE.glob("**/DESIGN.md")))
MANY_HAVE = frozenset(("plan.py", "controller.py", "settings.py", "configuration.py"))
"""Modules of one name in many folders."""
OF_THE_DATA_DIRECTORY = frozenset(
    (
        "containerd/",
        "storage/",
        "log/",
        "pki/",
        "node.kubeconfig",
        "node.state",
        "settings.json",
        "controller-manager.kubeconfig",
        "scheduler.kubeconfig",
        "local-path.kubeconfig",
    )
)
OTHERS = frozenset(("a/", "tiphys/node/cri/pb/api.proto"))
"""The keys of an example, and the name of a protobuf descriptor."""
RESOURCES = frozenset(kind.plural for kind in SCHEME)

_QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PATH = re.compile(r"[a-z_][a-z0-9_]*((/[a-z_][a-z0-9_]*)+(\.(py|proto)|/)?|\.(py|proto)|/)")
_DOTTED = re.compile(r"([a-z_]+)(\.[a-z_][a-z0-9_]*)+")


def _blocks(text: str) -> Iterator[list[str]]:
    """Names in backticks, by paragraph and by row of a table."""
    for paragraph in re.split(r"\n\s*\n", text):
        rows = paragraph.splitlines() if paragraph.startswith("|") else [paragraph]
        yield from (_QUOTED.findall(row) for row in rows)


def _exists(path: Path) -> bool:
    return path.exists() or path.with_name(f"{path.name}.py").exists()


def _wrong_path(name: str, bases: list[Path]) -> bool:
    if name in MANY_HAVE | OF_THE_DATA_DIRECTORY | OTHERS:
        return False
    resource, _, subresource = name.partition("/")
    if resource in RESOURCES and subresource.isalpha():
        return False
    return not any(_exists(base / name) for base in bases)


def _wrong_module(name: str) -> bool:
    """True for a dotted name that begins with a package and leads to nothing there."""
    name = name.removeprefix("tiphys.")
    if name in OF_THE_DATA_DIRECTORY or not (PACKAGE / name.split(".")[0] / "__init__.py").exists():
        return False
    try:
        resolve_name(f"tiphys.{name}")
    except (ImportError, AttributeError):
        return True
    return False


def missing(text: str, folder: Path) -> list[str]:
    """Return the names of files, folders and modules in a page of `folder` that do not exist."""
    wrong = []
    for names in _blocks(text):
        bases = [folder, PACKAGE, ROOT]
        for name in names:
            if _PATH.fullmatch(name):
                wrong += [name] * _wrong_path(name, bases)
                bases += [base / name if name.endswith("/") else (base / name).parent for base in bases[:3] if _exists(base / name)]
            elif _DOTTED.fullmatch(name):
                wrong += [name] * _wrong_module(name)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_what_exists(page: Path) -> None:
    assert missing(page.read_text(encoding="utf-8"), page.parent) == []


def test_reports_names_of_what_is_gone() -> None:
    right = "`pod/worker.py`, `plan.py`, `host/`, `node.pod.plan`, `aio.clock`, `pods/status`"
    wrong = "`pod_worker.py`, `worker.py`, `endpoints/`, `node.pod_plan`, `tiphys.aio.clocks`"
    assert missing(f"{right}\n\n{wrong}", PACKAGE / "node") == [name.strip("`") for name in wrong.split(", ")]
