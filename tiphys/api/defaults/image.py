"""The pull policy that an image reference implies."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(4096)
def pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, spelled out or implied, otherwise `IfNotPresent` ("Images": default image pull policy)."""
    name, at, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if tag == "latest" or (image and not colon and not at):
        return "Always"
    return "IfNotPresent"
