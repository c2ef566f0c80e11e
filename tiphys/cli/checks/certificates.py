"""Check of the cluster's certificates, which a running server renews months before they expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tiphys.aio.clock import LoopClock
from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

FIX = "look for the cause in log/server.log in the data directory, then run tiphys down and tiphys up, which also renews them"


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    """Warn of certificates that expire within 30 days; yields nothing where there is no cluster yet."""
    if not (settings.dir / "pki").is_dir():
        return
    late = late_certificates(settings, LoopClock().now())
    if late:
        yield CheckResult("certificates", "warn", "; ".join(late), FIX)
    else:
        yield CheckResult("certificates", "ok", "none expires within 30 days")


def late_certificates(settings: ClusterSettings, now: datetime) -> list[str]:
    """Return a phrase for each certificate of the cluster whose renewal is overdue."""
    from tiphys.daemon.pki import Pki  # Loads OpenSSL's bindings.

    return [f"{name} {_when(end, now)}" for name, end in Pki(settings.dir / "pki").ending(now)]


def _when(end: datetime, now: datetime) -> str:
    if end <= now:
        return f"expired on {end:%Y-%m-%d}"
    days = (end - now).days
    return f"expires on {end:%Y-%m-%d}, in {days} day{'' if days == 1 else 's'}"
