"""Generator of pod life-cycle events: follows the runtime's pods.

`Relister.relist` takes two cheap lists and looks closer only at what changed; `refresh` does the same for one pod, which is what a worker
asks for after it acted. Answers that were overtaken by newer ones are dropped. Ended containers never change again, so each is looked at
once, when its last words are read too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from tiphys.aio.clock import Clock, monotonic
from tiphys.node import names
from tiphys.node.container.logs import last_lines
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import NotFound
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.metrics import families
from tiphys.node.names import ContainerKind
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox, State, User, ordered

log = logging.getLogger(__name__)

_STATES: dict[int, State] = {
    pb.CONTAINER_CREATED: "created",
    pb.CONTAINER_RUNNING: "running",
    pb.CONTAINER_EXITED: "exited",
    pb.CONTAINER_UNKNOWN: "unknown",
}
MESSAGE_BYTES = 4096
LOG_MESSAGE_BYTES = 2048
LOG_MESSAGE_LINES = 80

Changed = Callable[[Observed], None]


class Relister:
    """Knows every pod of the runtime, and reports changes."""

    def __init__(self, cri: CriClient, on_change: Changed, clock: Clock) -> None:
        self.cri = cri
        self._clock = clock
        self._on_change = on_change
        self._pods: dict[str, Observed] = {}
        self._containers: dict[tuple[str, State], SeenContainer] = {}
        self._sandboxes: dict[tuple[str, bool], SeenSandbox] = {}
        self._owners: dict[str, str] = {}
        self._serial = 0
        self._relisted = 0.0
        self._applied: dict[str, int] = {}

    @property
    def uids(self) -> set[str]:
        """The pods of which the runtime holds anything."""
        return set(self._pods)

    def get(self, uid: str) -> Observed:
        """Return the last observation of a pod."""
        return self._pods.get(uid) or Observed(uid)

    def owner(self, ident: str) -> str | None:
        """The pod to which a sandbox or container belongs, by id."""
        return self._owners.get(ident)

    async def relist(self) -> None:
        """Look at everything. Raises CriError when the runtime does not answer."""
        serial, started = self._next(), monotonic()
        if self._relisted:
            families.RELIST_INTERVAL.labels().observe(started - self._relisted)
        self._relisted = started
        boxes, containers = await asyncio.gather(self.cri.list_pod_sandboxes(), self.cri.list_containers())
        seen = {one.labels.get(names.POD_UID, "") for one in boxes} | {one.labels.get(names.POD_UID, "") for one in containers}
        for uid in (seen | self._pods.keys()) - {""}:
            mine = [one for one in boxes if one.labels.get(names.POD_UID) == uid]
            of = [one for one in containers if one.labels.get(names.POD_UID) == uid]
            await self._apply(uid, serial, await self._observe(uid, mine, of))
        self._forget()
        families.RELIST_SECONDS.labels().observe(monotonic() - started)
        families.LAST_SEEN.labels().set(self._clock.now().timestamp())

    async def refresh(self, uid: str) -> Observed:
        """Look at one pod. Raises CriError when the runtime does not answer."""
        serial = self._next()
        labels = {names.POD_UID: uid}
        boxes, containers = await asyncio.gather(self.cri.list_pod_sandboxes(labels=labels), self.cri.list_containers(labels=labels))
        await self._apply(uid, serial, await self._observe(uid, boxes, containers))
        return self.get(uid)

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    async def _apply(self, uid: str, serial: int, new: Observed) -> None:
        if serial < self._applied.get(uid, 0):
            return  # a later look has answered already
        self._applied[uid] = serial
        if new == self._pods.get(uid, Observed(uid)):
            return
        if new.empty:
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = new
        self._owners |= dict.fromkeys(_idents(new), uid)
        self._on_change(new)

    def _forget(self) -> None:
        """Drop what belongs to nothing any more."""
        alive = {ident for pod in self._pods.values() for ident in _idents(pod)}
        self._containers = {key: value for key, value in self._containers.items() if key[0] in alive}
        self._sandboxes = {key: value for key, value in self._sandboxes.items() if key[0] in alive}
        self._owners = {ident: uid for ident, uid in self._owners.items() if ident in alive}
        self._applied = {uid: serial for uid, serial in self._applied.items() if uid in self._pods}

    # -- looking closer

    async def _observe(self, uid: str, boxes: Sequence[pb.PodSandbox], containers: Sequence[pb.Container]) -> Observed:
        if not boxes and not containers:
            return Observed(uid)
        seen_boxes = [box for one in boxes if (box := await self._sandbox(one)) is not None]
        seen = [container for one in containers if (container := await self._container(one)) is not None]
        labels = (boxes[0] if boxes else containers[0]).labels
        return ordered(uid, labels.get(names.POD_NAMESPACE, ""), labels.get(names.POD_NAME, ""), seen_boxes, seen)

    async def _sandbox(self, listed: pb.PodSandbox) -> SeenSandbox | None:
        ready = listed.state == pb.SANDBOX_READY
        known = self._sandboxes.get((listed.id, ready))
        if known is not None:
            return known
        ips: tuple[str, ...] = ()
        before = self._sandboxes.get((listed.id, True))
        if ready:
            try:
                network = (await self.cri.pod_sandbox_status(listed.id)).status.network
            except NotFound:
                return None
            ips = tuple(ip for ip in (network.ip, *(one.ip for one in network.additional_ips)) if ip)
        elif before is not None:
            ips = before.ips
        seen = SeenSandbox(listed.id, listed.metadata.attempt, ready, listed.created_at / 1e9, ips, listed.runtime_handler)
        self._sandboxes[(listed.id, ready)] = seen
        return seen

    async def _container(self, listed: pb.Container) -> SeenContainer | None:
        state = _STATES.get(listed.state, "unknown")
        known = self._containers.get((listed.id, state))
        if known is not None:
            return known
        try:
            status = (await self.cri.container_status(listed.id)).status
        except NotFound:
            return None
        seen = await asyncio.to_thread(_seen, status, listed.pod_sandbox_id) if state == "exited" else _seen(status, listed.pod_sandbox_id)
        self._containers[(seen.id, seen.state)] = seen
        return seen


def _idents(pod: Observed) -> list[str]:
    return [box.id for box in pod.sandboxes] + [container.id for container in pod.containers]


def _seen(status: pb.ContainerStatus, sandbox: str) -> SeenContainer:
    annotations = status.annotations
    state = _STATES.get(status.state, "unknown")
    reason = status.reason if state == "exited" else ""
    message = status.message
    if state == "exited":
        message = _last_words(status) or message
    grace = annotations.get(names.GRACE_PERIOD, "")
    count = annotations.get(names.RESTART_COUNT, "")
    return SeenContainer(
        id=status.id,
        name=status.labels.get(names.CONTAINER_NAME) or status.metadata.name,
        attempt=int(count) if count.isdigit() else status.metadata.attempt,
        state=state,
        sandbox=sandbox,
        created=status.created_at / 1e9,
        started=status.started_at / 1e9,
        finished=status.finished_at / 1e9,
        exit_code=status.exit_code,
        reason=reason,
        message=message,
        image=_readable_image(status),
        image_ref=status.image_ref,
        hash=annotations.get(names.CONTAINER_HASH, ""),
        kind=cast(ContainerKind, annotations.get(names.CONTAINER_KIND, "main")),
        grace=int(grace) if grace.isdigit() else None,
        log_path=status.log_path,
        user=_user(status),
    )


def _user(status: pb.ContainerStatus) -> User | None:
    if not status.user.HasField("linux"):
        return None
    user = status.user.linux
    return User(user.uid, user.gid, tuple(user.supplemental_groups))


def _readable_image(status: pb.ContainerStatus) -> str:
    """The image's name; a runtime that was given an id answers with the id, which tells people nothing."""
    name = status.image.image
    return "" if name.startswith("sha256:") else name


def _last_words(status: pb.ContainerStatus) -> str:
    """Return the content of the container's termination message path, or, if it asked for that, the end of its log."""
    path = status.annotations.get(names.MESSAGE_PATH, "")
    words = ""
    for mount in status.mounts:
        if mount.container_path == path:
            words = _read_end(Path(mount.host_path))
    if not words and status.annotations.get(names.MESSAGE_POLICY) == "FallbackToLogsOnError" and status.exit_code != 0:
        words = last_lines(Path(status.log_path), LOG_MESSAGE_LINES, LOG_MESSAGE_BYTES)
    return words


def _read_end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - MESSAGE_BYTES, 0))
            return file.read(MESSAGE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
