"""Choice of the controllers to run, as `--controllers` names them ("kube-controller-manager")."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from tiphys.controllers.registry import LOOPS
from tiphys.runtime import Controller

log = logging.getLogger(__name__)

UPSTREAM = {
    "attachdetach": "persistentvolume-attach-detach",
    "certificatesigningrequest-approving": "csrapproving",
    "certificatesigningrequest-cleaner": "csrcleaner",
    "certificatesigningrequest-signing": "csrsigning",
    "endpoint": "endpoints",
    "endpointslice": "endpoints",
    "endpointslice-mirroring": "endpointslicemirroring",
    "garbagecollector": "garbage-collector",
    "horizontalpodautoscaling": "horizontal-pod-autoscaler",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner",
    "node-lifecycle": "node",
    "nodeipam": "node-ipam",
    "nodelifecycle": "node",
    "podgc": "pod-garbage-collector",
    "pv-protection": "persistentvolume-protection",
    "pvc-protection": "persistentvolumeclaim-protection",
    "replicationcontroller": "replication",
    "resource-claim": "resourceclaim",
    "root-ca-certificate-publisher": "root-ca-cert-publisher",
}
"""Upstream's names of loops that have another one here, without `-controller` at their ends, which any name may have or lack."""
PART_OF = {
    "job-orphan-pods": "job",
    "persistentvolume-release": "persistentvolume-binder-controller",
    "resourceclaim-release": "resourceclaim-controller",
    "stale-disruption": "disruption",
    "volume-detach": "persistentvolume-attach-detach-controller",
}
"""Loops that are part of another one upstream: its choice is theirs, unless they are named themselves."""
ELSEWHERE = frozenset(
    (
        "bootstrap-signer",
        "bootstrapsigner",
        "cloud-node-lifecycle",
        "device-taint-eviction",
        "kube-apiserver-serving-clustertrustbundle-publisher",
        "node-route",
        "podcertificaterequest-cleaner",
        "podgroup-protection",
        "resourcepoolstatusrequest",
        "route",
        "selinux-warning",
        "service",
        "service-ca-cert-publisher",
        "service-ca-certificate-publisher",
        "service-lb",
        "serviceaccount-token",
        "storage-version-gc",
        "storage-version-migrator",
        "storageversion-garbage-collector",
        "svm",
        "token-cleaner",
        "tokencleaner",
        "validatingadmissionpolicy-status",
    )
)
"""Upstream's names of loops that do not exist here, so that manifests made for upstream's controllers work."""
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
    absent: list[str] = []
    for text in names:
        if text == ALL:
            continue
        name = text.removeprefix("-")
        short = UPSTREAM.get(_short(name), _short(name))
        loop = known.get(short)
        if loop is not None:
            decisions.setdefault(loop, not text.startswith("-"))
        elif short not in ELSEWHERE:
            unknown.append(name)
        elif name == text:
            absent.append(name)
    if unknown:
        raise UnknownControllers(f"--controllers: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    selected = [one for one in controllers if _is_chosen(one.declaration.name, decisions, rest=ALL in names)]
    if selected and absent:
        log.warning("some controllers do not exist here", extra={"controllers": ", ".join(absent)})
    return selected


def _is_chosen(loop: str, decisions: Mapping[str, bool], *, rest: bool) -> bool:
    return decisions.get(loop, decisions.get(PART_OF.get(loop, loop), rest))


def _short(name: str) -> str:
    return name.removesuffix(_END)
