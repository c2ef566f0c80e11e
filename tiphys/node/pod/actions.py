"""Carrying out a pod's plan: sandboxes, volumes, images, containers.

What does not depend on each other runs side by side: the sandbox is made while volumes are set up and images looked for or pulled, so the
first container waits for the slowest of them only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.image import pull_policy
from tiphys.node import names
from tiphys.node.container.config import Inputs, container_config, devices, linux_resources, log_directory, sandbox_config
from tiphys.node.container.dns_config import hosts_file, pod_resolver
from tiphys.node.container.env import ConfigError, Sources, environment
from tiphys.node.container.fields import FieldPathError
from tiphys.node.container.hooks import run_hook
from tiphys.node.cri.errors import CriError, NotFound
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.garbage.kept_logs import put_away
from tiphys.node.metrics import families
from tiphys.node.objects import Unreachable
from tiphys.node.pod.backoff import Backoff, backoff_key
from tiphys.node.pod.killer import PodKiller
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.plan import AnyContainer, Plan, Start, find_container
from tiphys.node.pod.status import Waiting
from tiphys.node.pulls.puller import ImageError, ImageInfo
from tiphys.node.resources.assigner import Grant, Refused
from tiphys.node.services import NodeServices
from tiphys.node.volumes.manager import used_volumes
from tiphys.node.volumes.payload import VolumeError

log = logging.getLogger(__name__)

CONFIG_RETRY = 5.0
SANDBOX_RETRY = 2.0
_HOOK_LIMIT = 86_400.0


class NotYet(Exception):
    """Part of the plan could not be carried out; worth trying again after `retry` seconds."""

    def __init__(self, message: str, *, retry: float) -> None:
        super().__init__(message)
        self.retry = retry


class _Refused(Exception):
    """A container was not started; says what its status shows."""

    def __init__(self, reason: str, message: str, *, retry: float) -> None:
        super().__init__(message)
        self.waiting = Waiting(reason, message)
        self.retry = retry


class _SandboxGone(_Refused):
    """The sandbox died before its container ran, which is not the container's fault."""

    def __init__(self) -> None:
        super().__init__(names.CONTAINER_CREATING, "the sandbox has gone", retry=0.1)


class PodActions:
    """The hands of one worker. `waiting` is the worker's record of why containers are not running, `applied` of the resources that those
    that run have, by id.
    """

    def __init__(self, services: NodeServices, waiting: dict[str, Waiting], applied: dict[str, core.ResourceRequirements]) -> None:
        self.services = services
        self.waiting = waiting
        self.applied = applied
        self.starting: set[str] = set()
        """Ids of containers whose start is under way: until their postStart hook has ended they count as not started."""
        self._replaced = ""

    async def apply(self, pod: core.Pod, plan: Plan, backoffs: dict[str, Backoff], *, on_progress: Callable[[], None]) -> None:
        """Carry a plan out. Raises NotYet, VolumeError, CriError; everything done so far stands, and the next plan goes on."""
        relister = self.services.relister
        uid = pod.metadata.uid
        killer = PodKiller(self.services, uid, pod)
        self._tell_replaced(pod, plan)
        if plan.kill_pod:
            await killer.kill()
        if plan.stop:
            by_id = {container.id: container for container in relister.get(uid).containers}
            await asyncio.gather(*(killer.stop_one(by_id[stop.id], stop.grace, stop.message) for stop in plan.stop if stop.id in by_id))
        for ident in plan.stop_sandboxes:
            await self.services.cri.stop_pod_sandbox(ident)
        for ident in plan.remove_containers:
            await self.services.cri.remove_container(ident)
        for ident in plan.remove_sandboxes:
            await self.services.cri.remove_pod_sandbox(ident)
        seen = await relister.refresh(uid)
        on_progress()
        if plan.create_sandbox is not None or plan.start:
            await self._bring_up(pod, plan, seen, backoffs, on_progress)

    def _tell_replaced(self, pod: core.Pod, plan: Plan) -> None:
        """Record, once for each sandbox, that another one takes its place."""
        box = self.services.relister.get(pod.metadata.uid).sandbox
        if box is not None and box.id != self._replaced and (plan.kill_pod or plan.create_sandbox is not None):
            self._replaced = box.id
            self.services.tell(pod, "", "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")

    async def resize(self, pod: core.Pod, plan: Plan) -> None:
        """Apply the present allocation to the pod and its running containers. Raises CriError, OSError."""
        # The pod's group must hold its containers before and after: a write refused before, because they are still larger, succeeds after.
        await asyncio.to_thread(self.services.cgroups.apply, pod)
        for update in plan.update:
            container = find_container(pod, update.name)
            assert container is not None
            grant = Grant(unlimited_cpu=self.services.owns_cpus(pod.metadata.uid, container.name))
            resources = linux_resources(pod, container, memory=self.services.memory, grant=grant)
            # Without this, a limit above the old one is more than memory and swap together were.
            resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes
            await self.services.cri.update_container_resources(update.id, resources)
            self.applied[update.id] = container.resources
        if plan.update:
            await asyncio.to_thread(self.services.cgroups.apply, pod)

    async def clean(self, uid: str, pod: core.Pod | None, seen: Observed) -> None:
        """Remove the rest of a stopped pod: containers, sandboxes, logs, control group. Raises CriError, OSError."""
        for container in seen.containers:
            with contextlib.suppress(NotFound):
                await self.services.cri.remove_container(container.id)
        for box in seen.sandboxes:
            await self.services.cri.remove_pod_sandbox(box.id)
        self.services.cgroups.remove(uid)
        named = f"{seen.namespace}_{seen.name}_{uid}"
        directory = Path(log_directory(str(self.services.settings.logs), pod)) if pod is not None else self.services.settings.logs / named
        await asyncio.to_thread(put_away, self.services.settings, directory, self.services.clock.now())
        await self.services.relister.refresh(uid)

    # -- from nothing to running containers

    async def _bring_up(
        self, pod: core.Pod, plan: Plan, seen: Observed, backoffs: dict[str, Backoff], on_progress: Callable[[], None]
    ) -> None:
        config = self._checked_sandbox_config(pod, plan, seen)
        volumes = _side_task(self.services.volumes.set_up(pod, self.services.identity(pod, seen)))
        images = {start.name: _side_task(self._image(pod, start, config)) for start in plan.start}
        content = {volume.name: _side_task(self._image_volume(pod, volume, config)) for volume in used_volumes(pod) if volume.image}
        try:
            if plan.create_sandbox is not None:
                seen = await self._make_sandbox(pod, config)
                on_progress()
            paths = await self._volumes(pod, volumes)
            sources = await self._sources(pod, seen)
            await asyncio.to_thread(self._write_hosts, pod, seen)
            retries = []
            for start in plan.start:
                try:
                    image = await self._await_image(images[start.name])
                    shown = await self._await_volumes(pod, start, content)
                    await self._start(pod, start, image, {**paths, **shown}, sources, config, backoffs)
                    self.waiting.pop(start.name, None)
                except _Refused as refused:
                    families.STARTED_CONTAINERS_ERRORS.labels(families.CONTAINER_TYPES[start.kind], refused.waiting.reason).inc()
                    self.waiting[start.name] = refused.waiting
                    retries.append(refused.retry)
                await self.services.relister.refresh(pod.metadata.uid)
                on_progress()
            if retries:
                raise NotYet("some containers were not started", retry=min(retries))
        finally:
            tasks = (volumes, *images.values(), *content.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _checked_sandbox_config(self, pod: core.Pod, plan: Plan, seen: Observed) -> pb.PodSandboxConfig:
        try:
            return self._sandbox_config(pod, plan, seen)
        except ConfigError as error:
            message = f"Failed to create pod sandbox: {error}"
            self.services.tell(pod, "", "Warning", "FailedCreatePodSandBox", message)
            raise NotYet(message, retry=SANDBOX_RETRY) from error

    def _sandbox_config(self, pod: core.Pod, plan: Plan, seen: Observed) -> pb.PodSandboxConfig:
        settings = self.services.settings
        attempt = plan.create_sandbox
        if attempt is None:
            attempt = seen.sandbox.attempt if seen.sandbox is not None else 0
        resolver = pod_resolver(pod, self.services.host_resolver(), cluster_dns=settings.cluster_dns, domain=settings.domain)
        return sandbox_config(
            pod,
            attempt,
            resolver=resolver,
            domain=settings.domain,
            log_root=str(settings.logs),
            cgroup_parent=self.services.cgroups.path(pod),
            seccomp_root=str(settings.root / "seccomp"),
        )

    async def _make_sandbox(self, pod: core.Pod, config: pb.PodSandboxConfig) -> Observed:
        await asyncio.to_thread(self._prepare, pod, config)
        handler, clock = "", self.services.clock
        try:
            handler = await self.services.runtime_handler(pod)
            began = clock.monotonic()
            await self.services.cri.run_pod_sandbox(config, runtime_handler=handler)
            families.SANDBOX_SECONDS.labels(handler).observe(clock.monotonic() - began)
            families.STARTED_PODS.labels().inc()
        except (CriError, Unreachable) as error:
            families.STARTED_PODS_ERRORS.labels().inc()
            families.SANDBOX_ERRORS.labels(handler).inc()
            why = str(error) if isinstance(error, Unreachable) else error.message or error.code
            message = f"Failed to create pod sandbox: {why}"
            self.services.tell(pod, "", "Warning", "FailedCreatePodSandBox", message)
            raise NotYet(message, retry=SANDBOX_RETRY) from error
        return await self.services.relister.refresh(pod.metadata.uid)

    def _prepare(self, pod: core.Pod, config: pb.PodSandboxConfig) -> None:
        Path(config.log_directory).mkdir(parents=True, exist_ok=True)
        try:
            self.services.cgroups.apply(pod)
        except OSError as error:
            log.warning("pod cgroup not made", extra={"pod": pod.metadata.name, "error": str(error)})

    async def _volumes(self, pod: core.Pod, task: asyncio.Task[dict[str, Path]]) -> dict[str, Path]:
        try:
            return await asyncio.shield(task)
        except VolumeError as error:
            self.services.tell(pod, "", "Warning", "FailedMount", str(error))
            raise

    async def _sources(self, pod: core.Pod, seen: Observed) -> Sources:
        try:
            return await self.services.env_sources(pod, seen)
        except Unreachable as error:
            raise NotYet(str(error), retry=1.0) from error

    def _write_hosts(self, pod: core.Pod, seen: Observed) -> None:
        path = self.services.volumes.paths(pod.metadata.uid).hosts
        path.parent.mkdir(parents=True, exist_ok=True)
        host = ""
        if pod.spec.hostNetwork:
            with contextlib.suppress(OSError):
                host = Path("/etc/hosts").read_text(encoding="utf-8", errors="replace")
        text = hosts_file(pod, self.services.pod_ips(pod, seen), domain=self.services.settings.domain, host_file=host)
        # In place: running containers have this very file mounted.
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)

    # -- one container

    async def _image(self, pod: core.Pod, start: Start, sandbox: pb.PodSandboxConfig) -> ImageInfo:
        container = find_container(pod, start.name)
        assert container is not None

        def tell(type_: str, reason: str, message: str) -> None:
            self.services.tell(pod, start.name, type_, reason, message)

        secrets = await self._pull_secrets(pod)
        return await self.services.images.ensure(pod, container, tell=tell, secrets=secrets, sandbox=sandbox)

    async def _pull_secrets(self, pod: core.Pod) -> list[core.Secret]:
        try:
            return await self.services.pull_secrets(pod) if pod.spec.imagePullSecrets else []
        except Unreachable as error:
            raise ImageError(names.ERR_IMAGE_PULL, str(error), retry=1.0) from error

    async def _image_volume(self, pod: core.Pod, volume: core.Volume, sandbox: pb.PodSandboxConfig) -> Path:
        """Pull the image of a volume and mount it. Raises ImageError, VolumeError."""
        source = volume.image
        assert source is not None

        def tell(type_: str, reason: str, message: str) -> None:
            self.services.tell(pod, "", type_, reason, message)

        policy = source.pullPolicy or pull_policy(source.reference)
        secrets = await self._pull_secrets(pod)
        image = await self.services.images.fetch(pod, source.reference, policy, tell=tell, secrets=secrets, sandbox=sandbox)
        return await self.services.volumes.images.mount(pod.metadata.uid, volume.name, image.ref)

    async def _await_volumes(self, pod: core.Pod, start: Start, content: dict[str, asyncio.Task[Path]]) -> dict[str, Path]:
        """Wait for the image volumes that a container mounts; only those keep it from starting."""
        container = find_container(pod, start.name)
        assert container is not None
        paths = {}
        for name in dict.fromkeys(mount.name for mount in container.volumeMounts if mount.name in content):
            families.IMAGE_VOLUMES.labels().inc()
            try:
                paths[name] = await asyncio.shield(content[name])
                families.IMAGE_VOLUMES_MOUNTED.labels().inc()
            except ImageError as error:
                self.services.tell(pod, start.name, "Warning", "Failed", f"Error: {error.reason}")
                raise _Refused(error.reason, str(error), retry=error.retry) from error
            except VolumeError as error:
                families.IMAGE_VOLUMES_FAILED.labels().inc()
                raise self._refuse(pod, start, names.CREATE_ERROR, str(error)) from error
        return paths

    async def _await_image(self, task: asyncio.Task[ImageInfo]) -> ImageInfo:
        try:
            return await asyncio.shield(task)
        except ImageError as error:
            raise _Refused(error.reason, str(error), retry=error.retry) from error

    async def _start(
        self,
        pod: core.Pod,
        start: Start,
        image: ImageInfo,
        volumes: dict[str, Path],
        sources: Sources,
        sandbox: pb.PodSandboxConfig,
        backoffs: dict[str, Backoff],
    ) -> None:
        container = find_container(pod, start.name)
        assert container is not None
        seen = self.services.relister.get(pod.metadata.uid)
        box = seen.sandbox
        if box is None or not box.ready:
            raise _SandboxGone
        config = await self._container_config(pod, container, start, image, volumes, sources)
        key = backoff_key(container)
        before = backoffs.get(key)
        if start.backoff is not None:
            backoffs[key] = start.backoff
        try:
            ident = await self.services.cri.create_container(box.id, config, sandbox)
        except CriError as error:
            raise self._refuse(pod, start, names.CREATE_ERROR, error.message) from error
        self.applied[ident] = container.resources
        self.services.tell(pod, start.name, "Normal", "Created", "Container created")
        # From before it runs: the runtime's event about it may come before the answer to the call.
        self.starting.add(ident)
        try:
            await self._run(pod, container, start, ident)
        except _SandboxGone:
            backoffs.pop(key, None)
            if before is not None:
                backoffs[key] = before
            raise
        finally:
            self.starting.discard(ident)

    async def _run(self, pod: core.Pod, container: AnyContainer, start: Start, ident: str) -> None:
        """Start a container that has been created, and run its postStart hook to the end."""
        try:
            await _to_the_end(self.services.cri.start_container(ident))
        except CriError as error:
            box = (await self.services.relister.refresh(pod.metadata.uid)).sandbox
            if box is None or not box.ready:
                raise _SandboxGone from error
            raise self._refuse(pod, start, names.RUN_ERROR, error.message) from error
        families.STARTED_CONTAINERS.labels(families.CONTAINER_TYPES[start.kind]).inc()
        self.services.tell(pod, start.name, "Normal", "Started", "Container started")
        if container.lifecycle is not None and container.lifecycle.postStart is not None:
            await self._post_start(pod, container, ident, container.lifecycle.postStart)

    def _refuse(self, pod: core.Pod, start: Start, reason: str, message: str, *, retry: float = CONFIG_RETRY) -> _Refused:
        self.services.tell(pod, start.name, "Warning", "Failed", f"Error: {message}")
        return _Refused(reason, message, retry=retry)

    async def _container_config(
        self, pod: core.Pod, container: AnyContainer, start: Start, image: ImageInfo, volumes: dict[str, Path], sources: Sources
    ) -> pb.ContainerConfig:
        paths = self.services.volumes.paths(pod.metadata.uid)
        box = self.services.relister.get(pod.metadata.uid).sandbox
        message = paths.message(start.name, start.attempt)
        try:
            files = await self.services.volumes.env_files(pod, container, volumes)
            env = environment(pod, container, msgspec.structs.replace(sources, files=files) if files else sources)
            mount_paths = await self.services.volumes.mount_paths(pod, container, volumes, env)
            await asyncio.to_thread(_touch, message)
            inputs = Inputs(
                image_ref=image.ref,
                env=env,
                image_uid=image.uid,
                image_user=image.user,
                mount_paths=mount_paths,
                hosts_path="" if pod.spec.hostNetwork and not pod.spec.hostAliases else str(paths.hosts),
                message_path=str(message),
                memory=self.services.memory,
                seccomp_root=str(self.services.settings.root / "seccomp"),
                target_id=self._target(pod, container),
                groups=self.services.volumes.persistent.groups(pod.metadata.uid),
                devices=devices(pod, container, volumes),
                grant=await self.services.assigners.prepare(pod, container),
                recursive_read_only=self.services.features.latest.of(box.handler if box else "").recursive_read_only,
                seccomp_default=self.services.settings.seccomp_default,
            )
            return container_config(pod, container, start, inputs)
        except (ConfigError, FieldPathError, VolumeError, Refused) as error:
            raise self._refuse(pod, start, names.CONFIG_ERROR, str(error)) from error

    def _target(self, pod: core.Pod, container: AnyContainer) -> str:
        if not isinstance(container, core.EphemeralContainer) or not container.targetContainerName:
            return ""
        target = self.services.relister.get(pod.metadata.uid).latest(container.targetContainerName)
        if target is None or target.state != "running":
            raise ConfigError(f'unable to find target container "{container.targetContainerName}"')
        return target.id

    async def _post_start(self, pod: core.Pod, container: AnyContainer, ident: str, handler: core.LifecycleHandler) -> None:
        await self.services.relister.refresh(pod.metadata.uid)
        seen = self.services.relister.get(pod.metadata.uid)
        ip = self.services.pod_ip(pod, seen)
        wrong = await run_hook(
            self.services.cri, self.services.clock, container, handler, container_id=ident, pod_ip=ip, timeout=_HOOK_LIMIT
        )
        if not wrong:
            return
        self.services.tell(pod, container.name, "Warning", "FailedPostStartHook", f"PostStartHook failed: {wrong}")
        running = next((one for one in seen.containers if one.id == ident), None)
        if running is not None:
            await PodKiller(self.services, pod.metadata.uid, pod).stop_one(running, 2, "FailedPostStartHook")
        raise _Refused(names.POST_START_ERROR, f"PostStartHook failed: {wrong}", retry=0.5)


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    # The container's user, whoever it is, writes here.
    path.chmod(0o666)


async def _to_the_end(call: Coroutine[Any, Any, None]) -> None:
    """Make a call that is not broken off: a container whose start is would end as StartError although nothing is wrong with it."""
    task = asyncio.get_running_loop().create_task(call)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()
        raise


def _side_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.get_running_loop().create_task(coroutine)
    # A failure that nobody comes to ask for (the sandbox failed first) is no news.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
