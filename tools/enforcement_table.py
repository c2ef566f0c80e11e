"""Writes docs/enforcement.md from the declaration in tiphys/api/enforcement.

python tools/enforcement_table.py
"""

from __future__ import annotations

from pathlib import Path

from tiphys.api.enforcement.document import page

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "enforcement.md").write_text(page(), encoding="utf-8")
