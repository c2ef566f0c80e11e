"""Docstrings of the API's groups, the node and images begin with a verb or a noun phrase too.

The machinery's scheme and protobuf, and custom kinds, are yet to come: then these packages join the others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.test_docstrings import QUESTIONS, docstrings

PACKAGE = Path(__file__).parents[3] / "tiphys"
LEFT_OUT = ("api/custom", "api/machinery")
FOLDERS = (
    *(
        path
        for path in sorted((PACKAGE / "api").iterdir())
        if (path / "__init__.py").exists() and str(path.relative_to(PACKAGE)) not in LEFT_OUT
    ),
    *(PACKAGE / name for name in ("api/machinery/apply", "api/machinery/patch", "images", "node")),
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_docstrings_do_not_begin_with_a_question_word(folder: Path) -> None:
    questions = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.splitlines()[0]}"
        for path in sorted(folder.rglob("*.py"))
        for line, text in docstrings(path.read_text(encoding="utf-8"))
        if text and text.split()[0].strip(",:") in QUESTIONS
    ]
    assert questions == []
