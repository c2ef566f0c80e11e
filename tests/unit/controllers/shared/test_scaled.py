"""Numbers and percentages."""

from __future__ import annotations

import pytest

from tiphys.api.machinery.base import IntOrString
from tiphys.controllers.shared.scaled import scaled


@pytest.mark.parametrize(
    ("value", "up", "expected"), [(None, True, 0), (3, True, 3), ("25%", True, 2), ("25%", False, 1), ("0%", True, 0), ("100%", False, 7)]
)
def test_percentages(value: IntOrString | None, up: bool, expected: int) -> None:
    assert scaled(value, 7, up=up) == expected
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        scaled("seven", 7, up=True)
