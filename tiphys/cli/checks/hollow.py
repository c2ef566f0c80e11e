"""Check of the rules for pods on hollow nodes."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    from tiphys.node.hollow.behavior import BehaviorError
    from tiphys.node.hollow.rules import read_rules

    if not settings.is_hollow or settings.hollow.rules is None:
        return
    try:
        rules = read_rules(settings.hollow.rules)
    except BehaviorError as error:
        yield CheckResult("hollow rules", "fail", str(error), "correct the file that --hollow-rules names")
    else:
        yield CheckResult("hollow rules", "ok", f"{len(rules)} rules")
