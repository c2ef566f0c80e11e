"""Choice of the form of an answer."""

from __future__ import annotations

import pytest

from tiphys.api.machinery.errors import NotAcceptable
from tiphys.apiserver.answers.negotiate import MOST_CLAUSES, negotiate


@pytest.mark.parametrize("quality", ["nan", "inf", "1_0", " 1", "-1", "x", "\u0661"])
def test_clauses_with_a_quality_that_is_no_number_are_passed_over(quality: str) -> None:
    assert negotiate(f"application/json;q=0.5, application/yaml;q={quality}").media == "json"


def test_the_clause_of_the_highest_quality_is_chosen() -> None:
    assert negotiate("application/json;q=0.5, application/yaml;q=0.75").media == "yaml"
    assert negotiate("application/json, application/yaml").media == "json"


def test_the_first_media_types_are_looked_at() -> None:
    within = ",".join([*["a/b"] * (MOST_CLAUSES - 1), "application/yaml"])
    assert negotiate(within).media == "yaml"
    with pytest.raises(NotAcceptable):
        negotiate(f"a/b,{within}")
