"""Versions of the interface that drivers support."""

from __future__ import annotations

import pytest

from tiphys.node.csi.versions import highest_supported


@pytest.mark.parametrize(
    ("versions", "highest"),
    [(["1.0.0"], (1, 0, 0)), (["v1.2", "1.10.0", "2.0.0"], (1, 10, 0)), (["0.3.0", "1.0.0"], (1, 0, 0)), (["junk", "1.1"], (1, 1))],
)
def test_takes_the_highest_of_version_1(versions: list[str], highest: tuple[int, ...]) -> None:
    assert highest_supported(versions) == highest


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        (["0.3.0"], "highest supported version reported is 0.3.0, must be v1.x"),
        (["2.0.0"], "could not find a highest supported version"),
        (["1"], 'could not parse "1" as version'),
    ],
)
def test_refuses_other_versions(versions: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        highest_supported(versions)
