"""Paths of modules and folders that the documentation names exist: files move, and prose does not follow by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PATH = re.compile(r"`([a-z_]+/[A-Za-z0-9_/.-]*)`")
TOPS = frozenset({path.name for path in (ROOT / "tiphys").iterdir() if path.is_dir()} | {"tiphys", "tests", "tools", "examples", "bench"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_documentation_exist(page: Path) -> None:
    paths = {path for path in PATH.findall(page.read_text(encoding="utf-8")) if path.partition("/")[0] in TOPS}
    missing = sorted(path for path in paths if not (ROOT / path).exists() and not (ROOT / "tiphys" / path).exists())
    assert missing == []
