"""Check of the certificates of cluster and node, which running daemons renew months before they expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tiphys.aio.clock import LoopClock
from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

FIX = "look for the cause in log/server.log in the data directory, then run tiphys down and tiphys up, which also renews them"
FIX_NODE = "approve the node's request (tiphys kubectl get csr), or look for the cause in log/node.log in the data directory"


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    """Warn of certificates that expire within 30 days; yields nothing where there is no cluster yet."""
    if not (settings.dir / "pki").is_dir():
        return
    now = LoopClock().now()
    late, late_of_node = _cluster(settings, now), _node(settings, now)
    if late:
        yield CheckResult("certificates", "warn", "; ".join(late), FIX)
    if late_of_node:
        yield CheckResult("certificates", "warn", "; ".join(late_of_node), FIX_NODE)
    if not late and not late_of_node:
        yield CheckResult("certificates", "ok", "none expires within 30 days")


def late_certificates(settings: ClusterSettings, now: datetime) -> list[tuple[str, str]]:
    """Return a phrase for each certificate of the cluster or of its node whose renewal is overdue, and the log that has the cause."""
    return [
        *((phrase, "server.log") for phrase in _cluster(settings, now)),
        *((phrase, "node.log") for phrase in _node(settings, now)),
    ]


def _cluster(settings: ClusterSettings, now: datetime) -> list[str]:
    from tiphys.daemon.pki import Pki  # Loads OpenSSL's bindings.

    return [f"{name} {_when(end, now)}" for name, end in Pki(settings.dir / "pki").ending(now)]


def _node(settings: ClusterSettings, now: datetime) -> list[str]:
    """Return the phrases for the certificates that the kubelet has requested for itself, if it does so."""
    from tiphys.daemon.pki import ending

    kubelet = settings.kubelet
    names = (("kubelet-client", kubelet.rotate_certificates), ("kubelet-server", kubelet.server_tls_bootstrap))
    files = [settings.node_pki_dir / f"{name}-current.pem" for name, is_used in names if is_used]
    return [f"{name} {_when(end, now)}" for name, end in ending(files, now)]


def _when(end: datetime, now: datetime) -> str:
    if end <= now:
        return f"expired on {end:%Y-%m-%d}"
    days = (end - now).days
    return f"expires on {end:%Y-%m-%d}, in {days} day{'' if days == 1 else 's'}"
