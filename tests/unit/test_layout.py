"""Tests lie where a reader of the package looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

UNIT = Path(__file__).parent
ROOT = UNIT.parents[1]
INTEGRATION = UNIT.parent / "integration"
BESIDE_THE_PACKAGE = frozenset(("docs", "examples", "tools"))
"""Folders of the repository whose contents have unit tests."""
UNIT_THEMES = frozenset(("controllers/adversity",))
THEMES = frozenset(("apiserver/hostile", "clients", "scenarios"))
"""Folders of tests that take more than one package; `docs/development.md` has the reasons."""


def misplaced(tests: Path, others: frozenset[str]) -> list[str]:
    """Return the folders that are named neither for a package of Tiphys nor for one of the others."""
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*.py")}
    return [str(folder) for folder in sorted(folders) if str(folder) not in others and not (ROOT / "tiphys" / folder).is_dir()]


@pytest.mark.parametrize(
    ("tests", "others"), [(UNIT, BESIDE_THE_PACKAGE | UNIT_THEMES), (INTEGRATION, THEMES)], ids=["unit", "integration"]
)
def test_folders_are_named_for_packages(tests: Path, others: frozenset[str]) -> None:
    assert misplaced(tests, others) == []
    assert [folder for folder in sorted(others) if not (tests / folder).is_dir()] == []


def test_names_folders_of_no_package(tmp_path: Path) -> None:
    for folder in ("store/sqlite", "store/postgres", "docs"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "test_a.py").touch()
    assert misplaced(tmp_path, frozenset()) == ["docs", "store/postgres"]
    assert misplaced(tmp_path, BESIDE_THE_PACKAGE) == ["store/postgres"]
