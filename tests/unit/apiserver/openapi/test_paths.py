"""Everything is served as by Kubernetes 1.36: paths, verbs, parameters, bodies and answers. Each difference is one line."""

from __future__ import annotations

from tests.unit.apiserver.openapi import facts


def test_operations_are_those_of_1_36() -> None:
    ours, theirs = facts.of_served(), facts.published()
    keys = [key for key in [*ours, *theirs] if facts.is_path(key) or key.startswith("parameter ")]
    found = facts.differences(ours, theirs, keys)
    assert not found, "\n" + found


def test_served_document_describes_the_types() -> None:
    """The served document has no definitions of its own making."""
    ours, theirs = facts.of_served(), facts.published()
    found = facts.differences(ours, theirs, [key for key in ours if not facts.is_path(key)])
    assert not found, "\n" + found
