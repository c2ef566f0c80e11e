"""Versions of the interface that a driver supports. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_VERSION = re.compile(r"v?(0|[1-9][0-9]*)((?:\.[0-9]+)+)")


def highest_supported(versions: Sequence[str]) -> tuple[int, ...]:
    """Return the highest version of the list that this node speaks, which is any 1.x; raises ValueError without one.

    Later major versions are passed over, and 0.x is not spoken any more.
    """
    reason = "<nil>"
    parsed = []
    for text in reversed(versions):
        match = _VERSION.match(text.strip())
        if match is None:
            reason = f'could not parse "{text}" as version'
        else:
            parsed.append((int(match[1]), *map(int, match[2].split(".")[1:])))
    known = [version for version in parsed if version[0] <= 1]
    if not known:
        raise ValueError(f"could not find a highest supported version from versions ({versions}) reported: {reason}")
    highest = max(known)
    if highest[0] != 1:
        raise ValueError(f"highest supported version reported is {'.'.join(map(str, highest))}, must be v1.x")
    return highest
