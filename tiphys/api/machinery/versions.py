"""The order of versions ("Custom Resources: Version priority")."""

from __future__ import annotations


def version_key(name: str) -> tuple[int, int, int, str]:
    """Sorts versions as clients expect: v2, v1, v1beta2, v1beta1, v1alpha1, and names of other forms last."""
    major, stage, minor = name[1:], "", ""
    for word in ("beta", "alpha"):
        if word in name:
            stage, (major, _, minor) = word, name[1:].partition(word)
    if name[:1] != "v" or not major.isdigit() or (stage and not minor.isdigit()):
        return (3, 0, 0, name)
    return ({"": 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), name)
