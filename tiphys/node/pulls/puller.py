"""Images for containers: pull policies, access to what is there, back-off, and pulls shared by everybody who waits for the same image.

See "Images" and "Pull an Image from a Private Registry" in the Kubernetes documentation, and KEP-2535.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.core.pods.image import pull_policy
from tiphys.node import names
from tiphys.node.container.image_names import name_error, split
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError, InvalidArgument
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.metrics import families
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.pulls.keyring import Credential, Entries, lookup, of_secrets, read_config
from tiphys.node.pulls.limits import PullLimits
from tiphys.node.pulls.provider_config import read_providers
from tiphys.node.pulls.providers import CredentialProviders
from tiphys.node.pulls.records import PullRecords
from tiphys.node.pulls.settings import PullOptions
from tiphys.node.pulls.verification import judge, must_verify

log = logging.getLogger(__name__)

FIRST_BACKOFF = 10.0
MAX_BACKOFF = 300.0
DOCKER_CONFIGS = (Path("/root/.docker/config.json"), Path("/.docker/config.json"), Path("/root/.dockercfg"))
"""Files with logins of the node, besides `config.json` in the kubelet's directory. The first that is there counts."""

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


class _Pulled(msgspec.Struct, frozen=True):
    ref: str
    used: Credential | None
    seconds: float
    """Time of the pull itself, without the wait for a turn."""


class _Refusal(Exception):
    """The registry gave the image for none of the logins."""

    def __init__(self, error: CriError, tried: Sequence[Credential]) -> None:
        super().__init__(error.message)
        self.error = error
        self.tried = tried


class ImagePuller:
    """Gets images onto the node."""

    def __init__(
        self, cri: CriClient, clock: Clock, root: Path, *, options: PullOptions | None = None, puller: PullsImages | None = None
    ) -> None:
        self.cri = cri
        self._puller: PullsImages = puller or cri
        self.clock = clock
        self.options = options or PullOptions()
        self.records = PullRecords(root)
        self._limits = PullLimits(
            clock,
            at_once=self.options.max_parallel_pulls,
            per_second=self.options.pulls_per_second,
            burst=self.options.pull_burst,
        )
        self._configs = (root / "config.json", *DOCKER_CONFIGS)
        self._providers = CredentialProviders((), Path(), clock)
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._pulled: dict[str, tuple[float, float]] = {}
        """By pod, when its first pull began and its last one ended."""
        self._pulls: dict[tuple[str, tuple[str, ...]], asyncio.Task[_Pulled]] = {}
        self._removals: dict[str, asyncio.Event] = {}
        """By the image's id, set when its removal has ended."""
        self._tasks = TaskSet(on_error=lambda *_: None)

    async def start(self) -> None:
        """Read the records and the configuration of providers. Raises OSError and ProviderError."""
        config, directory = self.options.credential_provider_config, self.options.credential_provider_directory
        if config is not None and directory is not None:
            self._providers = CredentialProviders(await asyncio.to_thread(read_providers, config, directory), directory, self.clock)
        await self.records.load()
        unfinished = set(self.records.unfinished())
        if not unfinished:
            return
        try:
            images = await self.cri.list_images()
        except CriError as error:
            log.warning("images of unfinished pulls stay unverified", extra={"error": str(error)})
            return
        for image in images:
            for name in unfinished.intersection((*image.repo_tags, *image.repo_digests)):
                await self.records.add(image.id, name, None, self.clock.now(), known=False)
        for name in unfinished:
            await self.records.end(name)

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
            policy = container.imagePullPolicy or pull_policy(container.image)
            return await self.fetch(pod, container.image, policy, tell=tell, secrets=secrets, sandbox=sandbox)
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
            present = await self._present(image)
        except InvalidArgument as error:
            raise _invalid(image, error.message) from error
        except CriError as error:
            message = f'Failed to inspect image "{image}": {error.message}'
            raise ImageError(names.INSPECT_ERROR, message, retry=1, event="InspectFailed") from error
        here = present is not None
        if present is not None and policy != "Always" and await self._may_use(image, present.id, secrets):
            _counted(policy, here=here, pull=False)
            tell("Normal", "Pulled", f'Container image "{image}" already present on machine and can be accessed by the pod')
            return _info(present)
        _counted(policy, here=here, pull=policy != "Never")
        if policy == "Never":
            # The same for an image that the pod may not use: that it is there is nobody else's business.
            message = f'Container image "{image}" is not present with pull policy of Never'
            raise ImageError(names.ERR_NEVER_PULL, message, retry=10, event="ErrImageNeverPull")
        return await self._pull(pod, image, tell, secrets, sandbox)

    async def _may_use(self, image: str, ref: str, secrets: Iterable[core.Secret]) -> bool:
        """Return whether a pod may use an image that is there, without its registry being asked."""
        options = self.options
        if not must_verify(options.pull_verification, options.pull_allowlist, image, was_pulled=self.records.is_pulled(ref, image)):
            families.PULL_CHECKS.labels("credentialPolicyAllowed").inc()
            return True
        verdict = judge(self.records.get(ref), image, lookup(image, of_secrets(secrets)))
        families.PULL_CHECKS.labels(verdict.result).inc()
        if verdict.learned is not None:
            await self.records.add(ref, image, verdict.learned, self.clock.now())
        return verdict.allowed

    async def credentials(self, image: str, secrets: Iterable[core.Secret]) -> list[Credential]:
        """Return the logins for an image in their order: of the pod's secrets, of the node, of credential providers."""
        node: Sequence[Entries] = await asyncio.to_thread(self._node_entries)
        return lookup(image, [*of_secrets(secrets), *node, *await self._providers.entries(image)])

    def _node_entries(self) -> list[Entries]:
        for path in self._configs:
            try:
                return [read_config(path.read_bytes(), f"{path} of the node")]
            except OSError:
                continue
        return []

    async def remove(self, image_id: str) -> None:
        """Remove an image that no pod uses. Pods that ask for it meanwhile wait and pull it again. Raises CriError."""
        ended = self._removals[image_id] = asyncio.Event()
        try:
            await self.cri.remove_image(image_id)
        finally:
            del self._removals[image_id]
            ended.set()

    async def _present(self, image: str) -> pb.Image | None:
        """Return the runtime's image, unless it is about to go. Raises CriError."""
        while True:
            present = await self.cri.image_status(image)
            removal = self._removals.get(present.id) if present is not None else None
            if removal is None:
                return present
            await removal.wait()

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
            pulled = await self._shared(image, await self.credentials(image, secrets), sandbox)
            present = await self._present(pulled.ref) or await self._present(image)
        except (_Refusal, CriError) as failure:
            raise self._failed(key, held, failure, tell) from failure
        except OSError as error:
            raise ImageError(
                names.ERR_IMAGE_PULL, f'Failed to record image pull intent for container image "{image}": {error}', retry=10
            ) from error
        self._waiting.pop(key, None)
        ended = self.clock.monotonic()
        self._pulled[pod.metadata.uid] = (self._pulled.get(pod.metadata.uid, (now, now))[0], ended)
        size = present.size if present is not None else 0
        families.PULL_SECONDS.labels(families.size_label(size)).observe(ended - now)
        took = f"{_seconds(pulled.seconds)} ({_seconds(ended - now)} including waiting)"
        tell("Normal", "Pulled", f'Successfully pulled image "{image}" in {took}. Image size: {size} bytes.')
        return _info(present) if present is not None else ImageInfo(pulled.ref)

    def _failed(self, key: tuple[str, str], held: _Waiting | None, failure: _Refusal | CriError, tell: Tell) -> ImageError:
        """Hold further pulls back for a while; returns the error that tells so."""
        image = key[1]
        error = failure.error if isinstance(failure, _Refusal) else failure
        delay = min(held.delay * 2, MAX_BACKOFF) if held is not None else FIRST_BACKOFF
        reason, message = pull_failure(image, error)
        at = self.clock.now() + timedelta(seconds=delay)
        story = f"tried {split(image)[0]} {_logins(failure)}; next try at {at:%H:%M:%S} UTC"
        self._waiting[key] = _Waiting(self.clock.monotonic() + delay, delay, f"{reason}: {message} ({story})")
        tell("Warning", "Failed", f'Failed to pull image "{image}": {error.message or error.code} ({story})')
        # Shown as it is for a moment, then as a back-off: that is why the retry comes sooner than the next pull.
        return ImageError(reason, f"{message} ({story})", retry=min(delay, 2.0))

    async def _shared(self, image: str, logins: Sequence[Credential], sandbox: pb.PodSandboxConfig | None) -> _Pulled:
        """One pull for all pods that need the image with the same credentials. A cancelled waiter leaves it running for the others."""
        key = (image, tuple(f"{login.source} {login.digest}" for login in logins))
        task = self._pulls.get(key)
        if task is None:
            task = self._tasks.spawn(self._recorded(image, logins, sandbox), name=f"pull {image}")
            self._pulls[key] = task
            task.add_done_callback(lambda _: self._pulls.pop(key, None))
        return await asyncio.shield(task)

    async def _recorded(self, image: str, logins: Sequence[Credential], sandbox: pb.PodSandboxConfig | None) -> _Pulled:
        """Pull, with the intent on record before and the login that opened the image after."""
        async with self._limits.turn():
            await self.records.begin(image)
            written = True
            try:
                pulled = await self._try_each(image, logins, sandbox)
                written = await self.records.add(pulled.ref, image, pulled.used, self.clock.now())
            finally:
                # An intent without a record keeps the image from pods without credentials, also after a restart.
                if written:
                    await self.records.end(image)
            return pulled

    async def _try_each(self, image: str, logins: Sequence[Credential], sandbox: pb.PodSandboxConfig | None) -> _Pulled:
        failure: CriError | None = None
        began = self.clock.monotonic()
        for login in logins or (None,):
            try:
                ref = await self._puller.pull_image(image, auth=_auth(login), sandbox_config=sandbox)
                return _Pulled(ref, login, self.clock.monotonic() - began)
            except CriError as error:
                failure = error
        assert failure is not None
        raise _Refusal(failure, logins)


def _auth(login: Credential | None) -> pb.AuthConfig | None:
    if login is None:
        return None
    return pb.AuthConfig(
        username=login.username, password=login.password, identity_token=login.identity_token, registry_token=login.registry_token
    )


def _logins(failure: _Refusal | CriError) -> str:
    tried = failure.tried if isinstance(failure, _Refusal) else ()
    if not tried:
        return "without credentials: neither the pod's imagePullSecrets nor the node has any for it"
    return f"with the credentials of {', '.join(dict.fromkeys(one.source for one in tried))}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}s"


def _counted(policy: str, *, here: bool, pull: bool) -> None:
    families.IMAGE_REQUESTS.labels(policy.lower(), str(here).lower(), str(pull).lower()).inc()


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
