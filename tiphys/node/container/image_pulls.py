"""Images for containers: pull policies, credentials, back-off, and pulls shared by everybody who waits for the same image.

See "Images" and "Pull an Image from a Private Registry" in the Kubernetes documentation.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.node import names
from tiphys.node.container.image_names import name_error
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError, InvalidArgument
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.pod.plan import AnyContainer

FIRST_BACKOFF = 10.0
MAX_BACKOFF = 300.0

Tell = Callable[[str, str, str], None]
"""Records an event about the container: type, reason, message."""


class PullsImages(Protocol):
    """Fetches an image: the CRI client does, or whatever stands before it."""

    async def pull_image(self, image: str, *, auth: pb.AuthConfig | None = None, sandbox_config: pb.PodSandboxConfig | None = None) -> str:
        """The reference to create containers from; raises CriError."""
        ...


class ImageError(Exception):
    """The image is not there; `reason` is what the container's status shows, `retry` the seconds until trying again makes sense.

    `event` is the reason of the event that tells the message, "" for none.
    """

    def __init__(self, reason: str, message: str, *, retry: float, event: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.retry = retry
        self.event = event


class ImageInfo(msgspec.Struct, frozen=True):
    """An image on this node: what to create containers from, and the user it asks for."""

    ref: str
    uid: int | None = None
    user: str = ""


class _Waiting(msgspec.Struct):
    until: float
    delay: float
    message: str


def pull_policy(container: AnyContainer) -> str:
    """Always, IfNotPresent or Never, as the container says or by default."""
    return container.imagePullPolicy or default_policy(container.image)


def default_policy(image: str) -> str:
    """Return the policy for an image where none is given: without a tag, or tagged `latest`, it is always pulled again."""
    last = image.rpartition("/")[2]
    if "@" in last:
        return "IfNotPresent"
    tag = last.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


class ImagePuller:
    """Gets images onto the node."""

    def __init__(self, cri: CriClient, clock: Clock, *, puller: PullsImages | None = None) -> None:
        self.cri = cri
        self._puller: PullsImages = puller or cri
        self.clock = clock
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._pulled: dict[str, tuple[float, float]] = {}
        """By pod, when its first pull began and its last one ended."""
        self._pulls: dict[tuple[str, bytes], asyncio.Task[str]] = {}
        self._tasks = TaskSet(on_error=lambda *_: None)

    async def ensure(
        self,
        pod: core.Pod,
        container: AnyContainer,
        *,
        tell: Tell,
        secrets: Iterable[core.Secret] = (),
        sandbox: pb.PodSandboxConfig | None = None,
    ) -> ImageInfo:
        """The container's image, pulled if its policy says so. Raises ImageError, after recording events about it."""
        try:
            return await self.fetch(pod, container.image, pull_policy(container), tell=tell, secrets=secrets, sandbox=sandbox)
        except ImageError as error:
            tell("Warning", "Failed", f"Error: {error.reason}")
            raise

    async def fetch(
        self,
        pod: core.Pod,
        image: str,
        policy: str,
        *,
        tell: Tell,
        secrets: Iterable[core.Secret] = (),
        sandbox: pb.PodSandboxConfig | None = None,
    ) -> ImageInfo:
        """Any image that a pod needs, pulled if the policy says so. Raises ImageError, after recording events about it."""
        try:
            return await self._fetch(pod, image, policy, tell, secrets, sandbox)
        except ImageError as error:
            if error.event:
                tell("Warning", error.event, str(error))
            raise

    async def _fetch(
        self, pod: core.Pod, image: str, policy: str, tell: Tell, secrets: Iterable[core.Secret], sandbox: pb.PodSandboxConfig | None
    ) -> ImageInfo:
        if wrong := name_error(image):
            raise _invalid(image, wrong)
        try:
            present = await self.cri.image_status(image)
        except InvalidArgument as error:
            raise _invalid(image, error.message) from error
        except CriError as error:
            message = f'Failed to inspect image "{image}": {error.message}'
            raise ImageError(names.INSPECT_ERROR, message, retry=1, event="InspectFailed") from error
        if present is not None and policy != "Always":
            tell("Normal", "Pulled", f'Container image "{image}" already present on machine')
            return _info(present)
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            raise ImageError(names.ERR_NEVER_PULL, message, retry=10, event="ErrImageNeverPull")
        return await self._pull(pod, image, tell, secrets, sandbox)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._waiting if key[0] == uid]:
            del self._waiting[key]
        self._pulled.pop(uid, None)

    def pulling(self, uid: str) -> float:
        """Seconds from the beginning of a pod's first pull to the end of its last."""
        began, ended = self._pulled.get(uid, (0.0, 0.0))
        return ended - began

    async def close(self) -> None:
        """Stop pulls under way."""
        await self._tasks.close()

    async def _pull(
        self, pod: core.Pod, image: str, tell: Tell, secrets: Iterable[core.Secret], sandbox: pb.PodSandboxConfig | None
    ) -> ImageInfo:
        key = (pod.metadata.uid, image)
        held = self._waiting.get(key)
        now = self.clock.monotonic()
        if held is not None and now < held.until:
            tell("Normal", "BackOff", f'Back-off pulling image "{image}"')
            raise ImageError(names.IMAGE_BACKOFF, f'Back-off pulling image "{image}": {held.message}', retry=held.until - now)
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        try:
            ref = await self._shared(image, credentials(image, secrets), sandbox)
            present = await self.cri.image_status(ref) or await self.cri.image_status(image)
        except CriError as error:
            reason, message = pull_failure(image, error)
            delay = min(held.delay * 2, MAX_BACKOFF) if held is not None else FIRST_BACKOFF
            self._waiting[key] = _Waiting(self.clock.monotonic() + delay, delay, f"{reason}: {message}")
            tell("Warning", "Failed", f'Failed to pull image "{image}": {error.message or error.code}')
            # Shown as it is for a moment, then as a back-off: that is why the retry comes sooner than the next pull.
            raise ImageError(reason, message, retry=min(delay, 2.0)) from error
        self._waiting.pop(key, None)
        ended = self.clock.monotonic()
        self._pulled[pod.metadata.uid] = (self._pulled.get(pod.metadata.uid, (now, now))[0], ended)
        took = ended - now
        size = present.size if present is not None else 0
        tell("Normal", "Pulled", f'Successfully pulled image "{image}" in {took:.3g}s. Image size: {size} bytes.')
        return _info(present) if present is not None else ImageInfo(ref)

    async def _shared(self, image: str, auths: Sequence[pb.AuthConfig], sandbox: pb.PodSandboxConfig | None) -> str:
        """One pull for all pods that need the image with the same credentials. A cancelled waiter leaves it running for the others."""
        key = (image, b"".join(auth.SerializeToString() for auth in auths))
        task = self._pulls.get(key)
        if task is None:
            task = self._tasks.spawn(self._try_each(image, auths, sandbox), name=f"pull {image}")
            self._pulls[key] = task
            task.add_done_callback(lambda _: self._pulls.pop(key, None))
        return await asyncio.shield(task)

    async def _try_each(self, image: str, auths: Sequence[pb.AuthConfig], sandbox: pb.PodSandboxConfig | None) -> str:
        failure: CriError | None = None
        for auth in auths or (None,):
            try:
                return await self._puller.pull_image(image, auth=auth, sandbox_config=sandbox)
            except CriError as error:
                failure = error
        assert failure is not None
        raise failure


def _invalid(image: str, why: str) -> ImageError:
    return ImageError(names.INVALID_IMAGE, f'Failed to apply default image tag "{image}": {why}', retry=300, event="InspectFailed")


def pull_failure(image: str, error: CriError) -> tuple[str, str]:
    """The reason and the message of a pull that failed; a runtime puts the more exact reasons in front of its message."""
    message = error.message or f'failed to pull and unpack image "{image}": {error.code}'
    for reason, words in (
        (names.REGISTRY_UNAVAILABLE, "the registry is unavailable"),
        (names.BAD_SIGNATURE, "the signature validation failed"),
    ):
        if message.startswith(reason):
            return reason, f"image pull failed for {image} because {words}{message.removeprefix(reason)}"
    return names.ERR_IMAGE_PULL, message


def _info(image: pb.Image) -> ImageInfo:
    uid = image.uid.value if image.HasField("uid") else None
    return ImageInfo(image.id, uid, image.username)


# -- credentials


def registry_of(image: str) -> str:
    """The registry that an image's name leads to."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return "docker.io"


def credentials(image: str, secrets: Iterable[core.Secret]) -> list[pb.AuthConfig]:
    """The logins in the pull secrets that fit the image, the most specific first."""
    matches: list[tuple[int, pb.AuthConfig]] = []
    for secret in secrets:
        for server, entry in _auths(secret).items():
            host, _, path = server.removeprefix("https://").removeprefix("http://").rstrip("/").partition("/")
            if host in ("index.docker.io", "registry-1.docker.io"):
                host, path = "docker.io", ""
            rest = image.removeprefix(f"{host}/")
            if _fits(host, registry_of(image)) and (not path or path in ("v1", "v2") or rest.startswith(path)):
                matches.append((len(path), _auth_config(entry, server)))
    return [auth for _, auth in sorted(matches, key=lambda item: -item[0])]


def _fits(pattern: str, host: str) -> bool:
    """True if the pattern matches a host; `*` matches one label, or a part of one."""
    if "*" not in pattern:
        return pattern == host
    labels, patterns = host.split("."), pattern.split(".")
    if len(labels) != len(patterns):
        return False
    return all(want == "*" or want == label for want, label in zip(patterns, labels, strict=True))


def _auths(secret: core.Secret) -> dict[str, dict[str, Any]]:
    try:
        if secret.type == "kubernetes.io/dockercfg":
            parsed = msgspec.json.decode(secret.data.get(".dockercfg", b"{}"))
        else:
            parsed = msgspec.json.decode(secret.data.get(".dockerconfigjson", b"{}")).get("auths", {})
    except (ValueError, AttributeError):
        return {}
    return {server: entry for server, entry in parsed.items() if isinstance(entry, dict)} if isinstance(parsed, dict) else {}


def _auth_config(entry: dict[str, Any], server: str) -> pb.AuthConfig:
    user, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if not user and entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
    return pb.AuthConfig(username=user, password=password, server_address=server, identity_token=str(entry.get("identitytoken", "")))
