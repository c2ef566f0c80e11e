"""Everything that is served is served as by Kubernetes 1.36: paths, verbs, parameters, bodies and answers. Each difference is one line."""

from __future__ import annotations

import re

from tests.unit.drift import facts

_RESOURCE = re.compile(r"^(?:\w+ )?(/apis?/(?:[^/]+/)?v\d+/)(?:watch/)?(?:namespaces/\{namespace\}/)?([a-z]+)")


def resource(key: str) -> str:
    """`/apis/apps/v1/deployments` for any operation on it; other paths are their own resource."""
    found = _RESOURCE.match(key)
    return found[1] + found[2] if found else key.split(" ")[-1]


def test_operations_of_served_resources_are_those_of_1_36() -> None:
    ours, theirs = facts.of_served(), facts.published()
    served = {resource(key) for key in ours if facts.is_path(key)}
    keys = [key for key in [*ours, *theirs] if facts.is_path(key) and resource(key) in served]
    keys += [key for key in ours if key.startswith("parameter ")]
    found = facts.differences(ours, theirs, keys)
    assert not found, "\n" + found


def test_what_is_served_is_described_as_its_type() -> None:
    """The served document has no definitions of its own making."""
    ours, theirs = facts.of_served(), facts.published()
    found = facts.differences(ours, theirs, [key for key in ours if not facts.is_path(key)])
    assert not found, "\n" + found
