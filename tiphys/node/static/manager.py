"""The sources of static pods: a directory that is watched and looked at now and then, and a URL ("Create static Pods").

What a source held last stays while it cannot be read or holds a mistake, so neither an outage nor a slip ends a pod; only a manifest that
is gone does. Each mistake is reported once, in the log and as an event of the Node.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.node.settings import NodeSettings
from tiphys.node.static.files import read_files
from tiphys.node.static.inotify import DirectoryWatch
from tiphys.node.static.manifest import Manifest, ManifestError, Origin, SourceKind, read_manifest
from tiphys.node.static.url import Unavailable, fetch

log = logging.getLogger(__name__)

SETTLE = 0.1
"""Seconds between the notice of a change and the look at it: changes come in groups."""
REASON = "FailedValidation"


class _Held(msgspec.Struct):
    data: bytes = b""
    manifest: Manifest = Manifest(())


class StaticPods:
    """Static pods as their sources have them. `show` gets all of them whenever they change, and with the last argument True once each
    source has answered; `tell` gets what is wrong with a manifest.
    """

    def __init__(
        self,
        settings: NodeSettings,
        clock: Clock,
        show: Callable[[Sequence[core.Pod], bool], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._show = show
        self._tell = tell
        self._held: dict[Origin, _Held] = {}
        self._problems: dict[str, str] = {}
        self._pending: set[SourceKind] = set()
        if settings.static_pod_path is not None:
            self._pending.add("file")
        if settings.static_pod_url:
            self._pending.add("http")
        self._changed = asyncio.Event()

    @property
    def is_used(self) -> bool:
        """True if there is a source."""
        return self._settings.static_pod_path is not None or bool(self._settings.static_pod_url)

    async def run(self) -> None:
        """Follow the sources until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._settings.static_pod_path is not None:
                group.create_task(self._follow_files(), name="static pods of files")
            if self._settings.static_pod_url:
                group.create_task(self._follow_url(), name="static pods of a URL")

    async def _follow_files(self) -> None:
        path = self._settings.static_pod_path
        assert path is not None
        watched = path.parent if await asyncio.to_thread(path.is_file) else path
        watch = DirectoryWatch(watched, self._changed.set)
        try:
            while True:
                self._changed.clear()
                watch.attach()
                await self.look_at_files()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.file_check):
                        await self._changed.wait()
                    await self._clock.sleep(SETTLE)
        finally:
            watch.close()

    async def _follow_url(self) -> None:
        while True:
            await self.look_at_url()
            await self._clock.sleep(self._settings.http_check)

    async def look_at_files(self) -> None:
        """Read the manifests of the directory."""
        path = self._settings.static_pod_path
        assert path is not None
        try:
            contents = await asyncio.to_thread(read_files, path)
        except OSError as error:
            self._report(str(path), error.strerror or str(error))
            return
        self._solved(str(path))
        origins = {Origin("file", place): content for place, content in contents.items()}
        gone = [origin for origin in self._held if origin.kind == "file" and origin not in origins]
        changed = bool(gone) or "file" in self._pending
        for origin in gone:
            del self._held[origin]
            self._solved(origin.place)
        for origin, content in origins.items():
            changed = await self._take(origin, content) or changed
        self._answered("file", changed=changed)

    async def look_at_url(self) -> None:
        """Read the manifest that the URL serves."""
        settings = self._settings
        origin = Origin("http", settings.static_pod_url)
        try:
            data = await fetch(settings.static_pod_url, settings.static_pod_url_header)
        except Unavailable as error:
            self._report(origin.place, str(error))
            return
        changed = "http" in self._pending
        if not data:
            changed = self._held.pop(origin, None) is not None or changed
            self._report(origin.place, "the answer is empty")
        else:
            changed = await self._take(origin, data) or changed
        self._answered("http", changed=changed)

    async def _take(self, origin: Origin, content: bytes | str) -> bool:
        """Take a manifest over; True if it gives other pods than before."""
        held = self._held.setdefault(origin, _Held())
        if isinstance(content, str):
            held.data = b""
            self._report(origin.place, content)
            return False
        if content == held.data:
            return False
        held.data = content
        node, now = self._settings.name, self._clock.now()
        try:
            manifest = await asyncio.to_thread(read_manifest, content, origin, node=node, now=now)
        except ManifestError as error:
            self._report(origin.place, str(error))
            return False
        if manifest.warnings:
            self._report(origin.place, "; ".join(manifest.warnings))
        else:
            self._solved(origin.place)
        before, held.manifest = held.manifest, manifest
        return _uids(before) != _uids(manifest)

    def _answered(self, kind: SourceKind, *, changed: bool) -> None:
        self._pending.discard(kind)
        if changed:
            self._show(self._pods(), not self._pending)

    def _pods(self) -> list[core.Pod]:
        """The pods of all manifests, those of files first; of two with the same name the first one."""
        chosen: dict[tuple[str, str], tuple[Origin, core.Pod]] = {}
        for origin, held in sorted(self._held.items(), key=lambda item: (item[0].kind, item[0].place)):
            for pod in held.manifest.pods:
                name = (pod.metadata.namespace, pod.metadata.name)
                first, _ = chosen.setdefault(name, (origin, pod))
                if chosen[name][1] is not pod:
                    self._report(origin.place, f"pod {'/'.join(name)} is ignored: {first.place} has one of this name")
        return [pod for _, pod in chosen.values()]

    def _report(self, place: str, problem: str) -> None:
        if self._problems.get(place) != problem:
            self._problems[place] = problem
            log.warning("static pod manifest has a problem", extra={"place": place, "problem": problem})
            self._tell(REASON, f"static pod manifest {place}: {problem}")

    def _solved(self, place: str) -> None:
        if self._problems.pop(place, None) is not None:
            log.info("static pod manifest is in order again", extra={"place": place})


def _uids(manifest: Manifest) -> list[str]:
    return [pod.metadata.uid for pod in manifest.pods]
