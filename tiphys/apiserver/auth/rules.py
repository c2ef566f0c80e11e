"""Matching and comparing RBAC rules ("Using RBAC Authorization"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tiphys.api.rbac.v1 import PolicyRule

ALL = "*"
MOST_TOLD = 1000
"""Missing rights that one refusal names."""


def matches_resource(rule: PolicyRule, verb: str, group: str, target: str, subresource: str) -> bool:
    """Return whether the rule covers verb and resource; `resourceNames` are not looked at. `target` is `pods` or `pods/log`."""
    if not (verb in rule.verbs or ALL in rule.verbs):
        return False
    if not (group in rule.apiGroups or ALL in rule.apiGroups):
        return False
    resources = rule.resources
    return target in resources or ALL in resources or (bool(subresource) and f"*/{subresource}" in resources)


def matches_path(rule: PolicyRule, verb: str, path: str) -> bool:
    """Return whether the rule allows the verb on a non-resource path."""
    if not (verb in rule.verbs or ALL in rule.verbs):
        return False
    return any(_path_covers(pattern, path) for pattern in rule.nonResourceURLs)


def _path_covers(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def uncovered(held: Sequence[PolicyRule], requested: Iterable[PolicyRule]) -> list[PolicyRule]:
    """Return the parts of `requested` that `held` does not include, atom by atom; the first `MOST_TOLD` of them.

    A rule of a few kilobytes has millions of parts: looking for more than people read would hold everybody up.
    """
    missing = (atom for rule in requested for atom in _atoms(rule) if not any(_covers(owner, atom) for owner in held))
    return list(islice(missing, MOST_TOLD))


def _atoms(rule: PolicyRule) -> Iterator[PolicyRule]:
    names = [[name] for name in rule.resourceNames] or [[]]
    for verb in rule.verbs:
        for group in rule.apiGroups:
            for resource in rule.resources:
                for name in names:
                    yield PolicyRule(verbs=[verb], apiGroups=[group], resources=[resource], resourceNames=name)
        for url in rule.nonResourceURLs:
            yield PolicyRule(verbs=[verb], nonResourceURLs=[url])


def _covers(owner: PolicyRule, atom: PolicyRule) -> bool:
    if not (ALL in owner.verbs or atom.verbs[0] in owner.verbs):
        return False
    if atom.nonResourceURLs:
        return any(_path_covers(pattern, atom.nonResourceURLs[0]) for pattern in owner.nonResourceURLs)
    if not (ALL in owner.apiGroups or atom.apiGroups[0] in owner.apiGroups):
        return False
    resource = atom.resources[0]
    if not (ALL in owner.resources or resource in owner.resources):
        _, slash, subresource = resource.partition("/")
        if not slash or f"*/{subresource}" not in owner.resources:
            return False
    # A rule without names reaches every object; one with names never covers one without.
    return not owner.resourceNames or (bool(atom.resourceNames) and atom.resourceNames[0] in owner.resourceNames)


def compact(atoms: Iterable[PolicyRule]) -> list[PolicyRule]:
    """Put the verbs of otherwise equal rules together, for messages that people read."""
    merged: dict[tuple[tuple[str, ...], ...], PolicyRule] = {}
    for atom in atoms:
        key = (tuple(atom.apiGroups), tuple(atom.resources), tuple(atom.resourceNames), tuple(atom.nonResourceURLs))
        known = merged.get(key)
        if known is None:
            merged[key] = PolicyRule(
                verbs=list(atom.verbs), apiGroups=atom.apiGroups, resources=atom.resources, resourceNames=atom.resourceNames,
                nonResourceURLs=atom.nonResourceURLs,
            )  # fmt: skip
        else:
            known.verbs.extend(verb for verb in atom.verbs if verb not in known.verbs)
    return list(merged.values())


def describe(rule: PolicyRule) -> str:
    """`{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`."""
    parts = (
        ("NonResourceURLs", rule.nonResourceURLs),
        ("APIGroups", rule.apiGroups),
        ("Resources", rule.resources),
        ("ResourceNames", rule.resourceNames),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{quoted(values)}" for name, values in parts if values) + "}"


def quoted(values: Iterable[str]) -> str:
    """`["a" "b"]`, as lists stand in messages."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
