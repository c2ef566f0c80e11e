"""Annotations by which static pods and mirror pods are known ("Well-Known Labels, Annotations and Taints")."""

from __future__ import annotations

from typing import Final

from tiphys.api.core import v1 as core

CONFIG_HASH: Final = "kubernetes.io/config.hash"
CONFIG_SEEN: Final = "kubernetes.io/config.seen"
CONFIG_SOURCE: Final = "kubernetes.io/config.source"


def is_static(pod: core.Pod) -> bool:
    """True if the kubelet has the pod from a file or a URL.

    Such a pod's uid is its hash. The API server gives each pod a UUID, which has dashes, so no annotation makes one of its pods static.
    """
    uid = pod.metadata.uid
    return "-" not in uid and uid != "" and pod.metadata.annotations.get(CONFIG_HASH) == uid
