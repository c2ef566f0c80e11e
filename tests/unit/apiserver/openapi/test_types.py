"""Every type and field of Kubernetes 1.36's stable versions is here, with the same shape and semantics. Each difference is one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.unit.apiserver.openapi import facts

DOCUMENT = Path(os.environ.get("TIPHYS_SWAGGER", facts.ROOT.parent / "shared/kubernetes/swagger-1.36.json"))
"""The published document, where somebody has it: the facts must still be its own."""


def test_types_and_fields_are_those_of_1_36() -> None:
    ours, theirs = facts.of_types(), facts.published()
    keys = [key for key in [*ours, *theirs] if not facts.is_path(key) and not key.startswith("parameter ")]
    found = facts.differences(ours, theirs, keys)
    assert not found, "\n" + found


def test_the_facts_are_complete() -> None:
    """585 definitions with 2,460 fields: counted in the published document."""
    keys = [key for key in facts.published() if not facts.is_path(key) and not key.startswith("parameter ")]
    definitions = [key for key in keys if facts.is_definition(key)]
    assert (len(definitions), len(keys) - len(definitions)) == (585, 2460)


def test_versions_that_are_not_served_are_named_with_a_reason() -> None:
    assert facts.unstable() == set(facts.UNSTABLE)
    assert all(facts.UNSTABLE.values())


def test_a_difference_is_told_in_a_line() -> None:
    theirs = {"core.v1.A.x": "string list-type=set", "core.v1.A.y": "string", "core.v1.A.z": "string"}
    ours = {"core.v1.A.x": "string list-type=atomic", "core.v1.A.y": "string", "core.v1.A.w": "string"}
    assert facts.differences(ours, theirs, [*ours, *theirs]).splitlines() == [
        "core.v1.A.w: is not in 1.36",
        "core.v1.A.x: list-type=atomic instead of list-type=set",
        "core.v1.A.z: is missing",
    ]


if DOCUMENT.exists():

    def test_the_facts_are_those_of_the_document() -> None:
        document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        lines = [f"unstable\t{version}" for version in sorted(facts.tool().unstable_versions(document))]
        lines += [f"{key}\t{fact}" for key, fact in sorted(facts.tool().distil(document).items())]
        assert facts.FACTS.read_text(encoding="utf-8").splitlines() == lines
