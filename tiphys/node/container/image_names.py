"""Names of images: whether a text is one. Pure.

The grammar is that of the distribution project's references: `[registry[:port]/]path[:tag][@digest]`. A registry is what stands before the
first slash and has a dot, a port or an upper-case letter, or is `localhost`.
"""

from __future__ import annotations

import re

_WORD = r"[a-z0-9]+"
_PATH = rf"{_WORD}(?:(?:[._]|__|-+){_WORD})*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?:{_HOST}/)?({_PATH}(?:/{_PATH})*)(?::{_TAG})?(?:@({_DIGEST}))?")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_LONGEST = 255


def name_error(image: str) -> str:
    """Return why a text cannot be the name of an image, in the words clients see in a pod's status; "" when it can."""
    wrong = _wrong(image)
    return f'couldn\'t parse image name "{image}": {wrong}' if wrong else ""


def _wrong(image: str) -> str:
    if _IDENTIFIER.fullmatch(image):
        return f"invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"
    domain, rest = split(image)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        return f"invalid reference format: repository name ({remote}) must be lowercase"
    full = f"{domain}/{rest}"
    match = _REFERENCE.fullmatch(full)
    if match is None:
        return "repository name must be lowercase" if _REFERENCE.fullmatch(full.lower()) else "invalid reference format"
    if len(match[1]) > _LONGEST:
        return f"repository name must not be more than {_LONGEST} characters"
    return _digest_error(match[2]) if match[2] else ""


def split(image: str) -> tuple[str, str]:
    """Return the registry and what is left of a name; names without a registry are Docker Hub's."""
    first, slash, rest = image.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first.lower() != first):
        domain = "docker.io" if first == "index.docker.io" else first
    else:
        domain, rest = "docker.io", image
    if domain == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _digest_error(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm not in _DIGITS:
        return "unsupported digest algorithm"
    if len(value) != _DIGITS[algorithm]:
        return "invalid checksum digest length"
    return "" if value.lower() == value else "invalid checksum digest format"
