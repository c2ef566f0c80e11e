"""What controllers can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiphys.api.scheme import Scheme


def _served() -> Scheme:
    from tiphys.api.kinds import SCHEME

    return SCHEME


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """How the controllers of one cluster behave; times are in seconds, ranges are CIDRs."""

    ca_file: str = ""
    """PEM file with the bundle that pods trust the API server by (`--root-ca-file`); without it no `kube-root-ca.crt` is published."""
    signing_certificate: str = ""
    signing_key: str = ""
    """PEM files of the authority that signs certificate requests (`--cluster-signing-cert-file`, `-key-file`). Without them nothing is
    signed; only the controller that signs opens the key."""
    signing_duration: float = 365 * 86400.0
    """The longest life of what is signed (`--cluster-signing-duration`)."""
    cluster_cidr: str = "10.42.0.0/16"
    """The range of all pods; each node gets a part of it. Empty: nodes bring their own."""
    node_mask: int = 24
    """Length of a node's prefix."""
    node_grace: float = 40.0
    """Silence after which a node's state is unknown (`--node-monitor-grace-period`)."""
    terminated_pod_threshold: int = 12500
    """Finished pods that may stay before the oldest are removed; 0 keeps all (`--terminated-pod-gc-threshold`)."""
    missing_node_grace: float = 40.0
    """How long a node must be gone before its pods are removed."""
    scheme: Scheme = field(default_factory=_served)
    """The kinds that namespaces can contain and the garbage collector follows."""
