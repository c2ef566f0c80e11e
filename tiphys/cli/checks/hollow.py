"""Check of the rules for pods on hollow nodes."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings, SettingsError


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    if not settings.is_hollow or settings.hollow.rules is None:
        return
    from tiphys.daemon.hollow import count_rules

    try:
        yield CheckResult("hollow rules", "ok", f"{count_rules(settings.hollow.rules)} rules")
    except SettingsError as error:
        yield CheckResult("hollow rules", "fail", str(error), "correct the file that --hollow-rules names")
