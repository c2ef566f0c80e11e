"""Does a pod meet a standard?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from tiphys.api.core.v1 import PodSpec
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.podsecurity import baseline, restricted
from tiphys.api.podsecurity.policy import LATEST, Standard
from tiphys.api.podsecurity.words import Check, Finding

NEWEST = max(minor for checks in (baseline.CHECKS, restricted.CHECKS) for versions in checks.values() for minor in versions)
"""The last minor version in which a check changed."""


@lru_cache(256)
def checks_of(standard: Standard) -> tuple[Check, ...]:
    """The checks of a standard, in the order of findings."""
    if standard.level == "privileged":
        return ()
    minor = NEWEST if standard.minor == LATEST else min(standard.minor, NEWEST)
    checks = _at(baseline.CHECKS, minor)
    if standard.level == "restricted":
        stricter = _at(restricted.CHECKS, minor)
        for name in stricter:
            checks.pop(restricted.INSTEAD_OF.get(name, ""), None)
        checks.update(stricter)
    return tuple(checks.values())


def _at(checks: Mapping[str, Mapping[int, Check]], minor: int) -> dict[str, Check]:
    """Each check as it was in a minor version."""
    since = {name: max((m for m in versions if m <= minor), default=None) for name, versions in checks.items()}
    return {name: checks[name][version] for name, version in since.items() if version is not None}


def findings(standard: Standard, meta: ObjectMeta, spec: PodSpec) -> list[Finding]:
    """Return the violations of the standard by a pod (or a template of pods)."""
    return [finding for check in checks_of(standard) if (finding := check(meta, spec)) is not None]


def reasons(findings: Sequence[Finding]) -> str:
    """The findings in a few words, for many pods at once."""
    return ", ".join(finding.reason for finding in findings)


def details(findings: Sequence[Finding]) -> str:
    """The findings with where they were made."""
    return ", ".join(f"{finding.reason} ({finding.detail})" if finding.detail else finding.reason for finding in findings)
