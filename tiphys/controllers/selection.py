"""Choice of the controllers to run, as `--controllers` names them ("kube-controller-manager")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.controllers.registry import LOOPS
from tiphys.runtime import Controller

UPSTREAM = {
    "certificatesigningrequest-approving-controller": "csrapproving",
    "certificatesigningrequest-cleaner-controller": "csrcleaner",
    "certificatesigningrequest-signing-controller": "csrsigning",
    "endpointslice-controller": "endpoints",
    "endpointslice-mirroring-controller": "endpointslicemirroring-controller",
    "node-lifecycle-controller": "node",
    "nodeipam": "node-ipam",
    "nodelifecycle": "node",
    "podgc": "pod-garbage-collector-controller",
    "garbagecollector": "garbage-collector-controller",
    "replicationcontroller": "replication",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
}
"""Upstream's names of loops that have another one here. Any name may have or lack `-controller` at its end."""
_END = "-controller"
ALL = "*"


class UnknownControllers(ValueError):
    """Names that no controller has; the message lists them and the names that exist."""


def chosen(names: Sequence[str], controllers: Iterable[Controller]) -> list[Controller]:
    """Return the controllers that a list of names chooses: `*` all, `NAME` that one, `-NAME` all that others choose but that one.

    The first name that concerns a controller decides. Raises UnknownControllers.
    """
    known = {_short(loop.declaration.name): loop.declaration.name for loop in LOOPS}
    decisions: dict[str, bool] = {}
    unknown: list[str] = []
    for text in names:
        if text == ALL:
            continue
        name = text.removeprefix("-")
        loop = known.get(_short(UPSTREAM.get(name, UPSTREAM.get(name + _END, name))))
        if loop is None:
            unknown.append(name)
        else:
            decisions.setdefault(loop, not text.startswith("-"))
    if unknown:
        raise UnknownControllers(f"--controllers: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    rest = ALL in names
    return [one for one in controllers if decisions.get(one.declaration.name, rest)]


def _short(name: str) -> str:
    return name.removesuffix(_END)
