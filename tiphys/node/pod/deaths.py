"""Events that tell how a container died: who killed it, and the end of its log. Pure.

The status says no more than upstream's, since clients compare its messages: the rest is in events.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tiphys.node.host.kernel_log import OomKill
from tiphys.node.pod.observed import SeenContainer
from tiphys.node.pod.plan import AnyContainer

SIGKILL = 137
"""Exit code of a process that SIGKILL ended."""
OOM = "OOMKilled"
SHORTEST_SECRET = 6
"""Characters of the shortest value that is masked; shorter ones, such as "1" or "root", would mask half of a log."""
MASK = "******"


class Story(NamedTuple):
    """An event about a container: its type, its reason and the sentence."""

    type: str
    reason: str
    message: str


def newly_ended(containers: Collection[SeenContainer], known: Collection[str]) -> list[SeenContainer]:
    """Return the containers that have ended and whose end is not known yet, by id."""
    return [one for one in containers if one.state == "exited" and one.id not in known]


def is_violent(seen: SeenContainer) -> bool:
    """True if the end of a container needs an explanation."""
    return seen.reason == OOM or seen.exit_code == SIGKILL


def story(container: AnyContainer, seen: SeenContainer, *, stopped: str, kill: OomKill | None) -> Story | None:
    """Return how a container ended that was killed; None for any other end.

    `stopped` is why the kubelet stopped it, "" if it did not; `kill` is what the kernel's log tells.
    """
    if seen.reason == OOM or kill is not None:
        return Story("Warning", OOM, f"Container {container.name} ran out of memory: {_oom(container, kill)}")
    if seen.exit_code != SIGKILL:
        return None
    if stopped:
        return Story(
            "Normal", "Killed", f"Container {container.name} did not end in time and was killed by the kubelet (SIGKILL): {stopped}"
        )
    text = "was killed (SIGKILL), and not by the kubelet: by a process inside, by one of the machine, or by the container runtime"
    return Story("Warning", "Killed", f"Container {container.name} {text}")


def _oom(container: AnyContainer, kill: OomKill | None) -> str:
    declared = container.resources.limits.get("memory")
    limit = f"its limit is {declared}" if declared else "it has no limit of its own"
    if kill is None:
        return limit
    figures = f", {_mebibytes(kill.usage)} were in use of {_mebibytes(kill.limit)}" if kill.limit else ""
    where = f" by the limit of {kill.limited}" if kill.limited != kill.group else ""
    return f"{limit}{figures}; the kernel killed process {kill.process} ({kill.pid}) of control group {kill.group}{where}"


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def excerpt(log: str, limit: int, secrets: Collection[str]) -> str:
    """Return the end of a log in at most `limit` characters, from the beginning of a line if there is one, without values of secrets."""
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= SHORTEST_SECRET:
            log = log.replace(value, MASK)
    log = log.strip()
    if len(log) <= limit:
        return log
    end = log[-limit:]
    return end.partition("\n")[2] or end
