"""Runtime dependencies are those that Tiphys imports: whatever only tests need belongs to the development dependencies."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)


def canonical(name: str) -> str:
    """A distribution's name as the registry compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~ ;\[]", name)[0]).lower()


def imported() -> set[str]:
    """The distributions that the package imports, anywhere in its modules."""
    sources = (ROOT / "tiphys").rglob("*.py")
    tops = {top for file in sources for top in IMPORT.findall(file.read_text(encoding="utf-8"))}
    return {canonical(one) for top, owners in packages_distributions().items() if top in tops for one in owners}


def pinned(lock: str) -> set[str]:
    """The distributions that a lock file pins."""
    return {canonical(line) for line in (ROOT / lock).read_text().splitlines() if "==" in line}


def test_dependencies_are_imported_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {canonical(name) for name in project["dependencies"]}
    assert wanted - imported() == set(), "only development needs these"
    assert wanted - pinned("requirements.lock") == set()
    development = {canonical(name) for name in project["optional-dependencies"]["dev"]}
    assert development - pinned("requirements.lock") - pinned("requirements-dev.lock") == set()
