"""The cluster's certificates, which a running server renews months before they end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tiphys.aio.clock import LoopClock
from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

FIX = "see log/server.log in the data directory for why, then tiphys down and tiphys up: a start renews them, too"


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    """Warns of those that end within 30 days; says nothing where there is no cluster yet."""
    if not (settings.dir / "pki").is_dir():
        return
    late = late_certificates(settings, LoopClock().now())
    if late:
        yield CheckResult("certificates", "warn", "; ".join(late), FIX)
    else:
        yield CheckResult("certificates", "ok", "none ends within 30 days")


def late_certificates(settings: ClusterSettings, now: datetime) -> list[str]:
    """A phrase for each certificate of the cluster that should have been renewed long ago."""
    from tiphys.daemon.pki import Pki  # Loads OpenSSL's bindings.

    return [f"{name} {_when(end, now)}" for name, end in Pki(settings.dir / "pki").ending(now)]


def _when(end: datetime, now: datetime) -> str:
    if end <= now:
        return f"ended on {end:%Y-%m-%d}"
    days = (end - now).days
    return f"ends on {end:%Y-%m-%d}, in {days} day{'' if days == 1 else 's'}"
