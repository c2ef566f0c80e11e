"""Level and version of the standards that a namespace asks for, by its labels ("Pod Security Admission")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tiphys.api.machinery.errors import FieldError, invalid

PREFIX: Final = "pod-security.kubernetes.io/"
LEVELS: Final = ("privileged", "baseline", "restricted")
"""From what allows everything to what allows least."""
LATEST: Final = -1
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,8})")


class Standard(NamedTuple):
    """A level of the standards as it was in Kubernetes 1.`minor`, or `LATEST`."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    @property
    def strictness(self) -> int:
        return LEVELS.index(self.level)


class Policy(NamedTuple):
    """Levels that a namespace enforces, notes in the audit log, and warns of."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()


DEFAULT: Final = Policy()


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """The policy of a namespace's labels, and their mistakes. An invalid `enforce` means the strictest level, others none."""
    if not any(label.startswith(PREFIX) for label in labels):
        return DEFAULT, []
    errors: list[FieldError] = []
    enforce = _standard(labels, "enforce", "restricted", errors)
    audit = _standard(labels, "audit", "privileged", errors)
    warn = _standard(labels, "warn", "privileged", errors)
    if f"{PREFIX}warn" not in labels and labels.get(f"{PREFIX}enforce") in LEVELS and enforce.strictness > warn.strictness:
        # Who enforces a level is warned of it too, unless they say otherwise.
        warn = Standard(enforce.level, warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor)
    return Policy(enforce, audit, warn), errors


def _standard(labels: Mapping[str, str], mode: str, if_wrong: str, errors: list[FieldError]) -> Standard:
    level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
    if level is None:
        level = "privileged"
    elif level not in LEVELS:
        errors.append(invalid(f"metadata.labels[{PREFIX}{mode}]", level, f"must be one of {', '.join(LEVELS)}"))
        level = if_wrong
    minor = LATEST
    if version is not None and version != "latest":
        match = _VERSION.fullmatch(version)
        if match is None:
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, 'must be "latest" or "v1.x"'))
        else:
            minor = int(match[1])
    return Standard(level, minor)
