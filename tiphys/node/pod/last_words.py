"""Reports of deaths: reads what `deaths` needs, and records its events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.node.container.env import referenced
from tiphys.node.container.logs import last_lines
from tiphys.node.host.kernel_log import oom_kill, read_log
from tiphys.node.objects import Unreachable
from tiphys.node.pod.deaths import excerpt, is_violent, newly_ended, story
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.plan import find_container
from tiphys.node.services import NodeServices
from tiphys.node.volumes.manager import followed

LINES = 20
"""Maximum number of lines of a log that an event shows."""
_READ = 8192


class DeathReports:
    """Reports how the containers of one pod died, each once, but for those that were dead when it began."""

    def __init__(self, services: NodeServices, seen: Observed) -> None:
        self.services = services
        self._known = {one.id for one in seen.containers if one.state == "exited"}

    async def tell(self, pod: core.Pod, seen: Observed) -> None:
        """Record an event for each container that was killed since the last call."""
        ended = newly_ended(seen.containers, self._known)
        self._known = {one.id for one in seen.containers if one.state == "exited"}
        for one in ended:
            stopped = self.services.stopped.pop(one.id, "")
            container = find_container(pod, one.name)
            if container is None or not is_violent(one):
                continue
            kill = None if stopped else oom_kill(await asyncio.to_thread(read_log), one.id)
            report = story(container, one, stopped=stopped, kill=kill)
            if report is not None:
                self.services.tell(pod, one.name, *report)

    async def tell_log(self, pod: core.Pod, name: str, seen: Observed) -> None:
        """Record an event with the end of the log of the container that ended last, unless that is switched off."""
        limit = self.services.settings.crash_log_length
        last = next((one for one in seen.all_of(name) if one.state == "exited" and one.log_path), None)
        if not limit or last is None:
            return
        log = await asyncio.to_thread(last_lines, Path(last.log_path), LINES, _READ)
        end = excerpt(log, limit, await self._secrets(pod))
        if end:
            text = f"Container {name} ended with exit code {last.exit_code}; the end of its log:\n{end}"
            self.services.tell(pod, name, "Warning", "CrashLog", text)

    async def _secrets(self, pod: core.Pod) -> Collection[str]:
        """The values of the secrets that the pod uses."""
        values: set[str] = set()
        for type_, namespace, name in followed(pod, referenced(pod)):
            if type_ is core.Secret:
                with contextlib.suppress(Unreachable):
                    secret = await self.services.objects.get(core.Secret, namespace, name)
                    data = secret.data.values() if secret is not None else ()
                    values |= {value.decode("utf-8", "replace").strip() for value in data}
        return values
