"""docs/enforcement.md is what the declaration gives."""

from __future__ import annotations

from pathlib import Path

from tiphys.api.enforcement.document import page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "enforcement.md").read_text(encoding="utf-8") == page(), "run: python tools/enforcement_table.py"


def test_the_page_is_linked() -> None:
    assert "(enforcement.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
