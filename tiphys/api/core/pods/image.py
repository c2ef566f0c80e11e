"""The pull policy that an image reference implies."""

from __future__ import annotations

import re

from tiphys.api.machinery.cached import cached

_DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST = "sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"

_reference = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>[0-9A-Za-z_][0-9A-Za-z_.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?"
).fullmatch

_identifier = re.compile("[a-f0-9]{64}").fullmatch
_LONGEST_NAME = 255
_LONGEST_REFERENCE = 1024


@cached()
def pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, spelled out or implied, otherwise `IfNotPresent` ("Images": default image pull policy).

    What is no reference to an image has no tag either.
    """
    reference = _reference(image) if len(image) <= _LONGEST_REFERENCE and not _identifier(image) else None
    if reference is None or len(reference["name"]) > _LONGEST_NAME:
        return "IfNotPresent"
    return "Always" if reference["tag"] == "latest" or (not reference["tag"] and not reference["digest"]) else "IfNotPresent"
