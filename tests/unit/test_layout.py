"""Tests lie where a reader of the package looks for them."""

from __future__ import annotations

from pathlib import Path

UNIT = Path(__file__).parent
ROOT = UNIT.parents[1]


def _names_something(folder: Path) -> bool:
    """Return whether the folder is named for a package or module of tiphys, or for a folder beside it, such as docs."""
    source = ROOT / "tiphys" / folder
    return source.is_dir() or source.with_suffix(".py").is_file() or (ROOT / folder).is_dir()


def test_folders_of_unit_tests_mirror_packages() -> None:
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("*.py")} - {Path()}
    assert [str(folder) for folder in sorted(folders) if not _names_something(folder)] == []
