"""The two control loops of ResourceClaims."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.selectors import EVERYTHING
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimTemplate
from tiphys.controllers.resourceclaim.plan import (
    NewClaim,
    Plan,
    asks_for_admin_access,
    claims_of,
    needs_claims,
    plan,
    reserved,
    templates_of,
)
from tiphys.controllers.resourceclaim.release import FINALIZER, Release, is_pod, owning_pod, release
from tiphys.controllers.shared.doubts import Doubts
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.obs import metrics
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Informer,
    Key,
    Result,
    Whole,
    delete_exact,
    index_owners,
    patch_status,
    update_present,
    write_status,
)

CLAIM = "resource claims of pods"
TEMPLATE = "templates of resource claims of pods"
ROLE = "resource-claim-controller"

CREATES = metrics.counter(
    "resourceclaim_controller_creates_total", "Requests to create ResourceClaims.", "status", "admin_access", stability="ALPHA"
)


def _has_entries(old: SlimPod | None, new: SlimPod | None) -> bool:
    pod = new or old
    return pod is not None and bool(pod.spec.resourceClaims)


def _claim_index(pod: SlimPod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]


def _template_index(pod: SlimPod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in templates_of(pod)]


class ResourceClaimController:
    """Makes the claims that pods get from templates, and enters pods that have a node in their claims. Keys are pods.

    No claim is made twice: the loop waits until the cache shows what the last step wrote, and asks the server where the answer to a
    creation was lost, and for a claim that the pod's status names and the cache lacks.
    """

    declaration = Declaration(
        name="resourceclaim-controller",
        kind=ResourceClaimTemplate,
        roles=(ROLE,),
        reads=(Whole(ResourceClaim), Whole(ResourceClaimTemplate), PODS),
    )

    def __init__(self) -> None:
        self._doubts = Doubts()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims: Informer[ResourceClaim] = index_owners(ctx.read(ResourceClaim))
        self._templates = ctx.read(ResourceClaimTemplate)
        self._pods = ctx.read(SlimPod)
        self._pods.add_index(CLAIM, _claim_index)
        self._pods.add_index(TEMPLATE, _template_index)
        ctx.watch(self._pods, when=_has_entries)
        ctx.watch(self._claims, lambda claim: self._users(CLAIM, claim))
        ctx.watch(self._templates, lambda template: self._users(TEMPLATE, template), when=lambda old, new: new is not None)

    def _users(self, index: str, obj: ResourceClaim | ResourceClaimTemplate) -> Iterable[Key]:
        return [Key.of(pod) for pod in self._pods.by_index(index, f"{obj.metadata.namespace}/{obj.metadata.name}")]

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None:
            self._doubts.forget(key)
            return DONE
        cached = self._claims.by_index(OWNER, pod.metadata.uid)
        owned = await self._doubts.settle(self._ctx.client, pod, EVERYTHING, self._claims, cached)
        step = plan(
            pod,
            owned,
            lambda name: self._claims.get(Key(key.namespace, name)),
            lambda name: self._templates.get(Key(key.namespace, name)),
        )
        error = await self._create(pod, step)
        if step.record:
            records = [{"name": entry, "resourceClaimName": name} for entry, name in step.record.items()]
            await patch_status(self._ctx.client, core.Pod, pod.metadata, {"resourceClaimStatuses": records})
        for claim in step.reserve:
            await write_status(self._ctx.client, claim, reserved(claim, pod))
        if error is not None:
            raise error
        return DONE

    async def _create(self, pod: SlimPod, step: Plan) -> Exception | None:
        """Create claims and add them to those to record. Returns one of the errors; events tell of each."""
        failure: Exception | None = None
        for entry, template in step.missing.items():
            kind = self._templates.kind
            failure = NotFound.object(kind.plural, template, group=kind.group)
            self._tell(pod, entry, f'resource claim template "{template}": {failure}')
        for new in step.create:
            try:
                if await self._is_there(new):
                    continue
                step.record[new.entry] = (await self._post(pod, new)).metadata.name
            except Exception as error:
                if not namespace_ends(error):
                    failure = error
                    self._tell(pod, new.entry, f"create ResourceClaim: {error}")
        return failure

    async def _is_there(self, new: NewClaim) -> bool:
        """Return whether the server has the claim that the pod's status names: the cache of claims may be behind that of pods."""
        if not new.recorded:
            return False
        try:
            await self._ctx.client.get(ResourceClaim, new.recorded, new.claim.metadata.namespace)
        except NotFound:
            return False
        return True

    async def _post(self, pod: SlimPod, new: NewClaim) -> ResourceClaim:
        admin = "true" if asks_for_admin_access(new.claim) else "false"
        try:
            created = await self._ctx.client.create(new.claim)
        except Exception as error:
            CREATES.labels("failure", admin).inc()
            self._doubts.note(Key.of(pod), error)
            raise
        CREATES.labels("success", admin).inc()
        return created

    def _tell(self, pod: SlimPod, entry: str, message: str) -> None:
        self._ctx.recorder.event(pod, "Warning", "FailedResourceClaimCreation", f"PodResourceClaim {entry}: {message}")


class ClaimReleaseController:
    """Removes pods that ended from the claims that were reserved for them, deallocates claims that nobody uses any more, and deletes
    those that were made for a pod that ended. Keys are claims.

    Deletions answer with no version to wait for, so claims that were deleted are remembered until the cache shows it.
    """

    declaration = Declaration(
        name="resourceclaim-release", kind=ResourceClaim, roles=(ROLE,), reads=(Whole(ResourceClaim), PODS), guards=True
    )

    def __init__(self) -> None:
        self._deleted: dict[Key, str] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims: Informer[ResourceClaim] = index_owners(ctx.read(ResourceClaim))
        self._pods = ctx.read(SlimPod)
        ctx.watch(self._claims)
        ctx.watch(self._pods, self._keys, when=_frees)

    def _keys(self, pod: SlimPod) -> Iterable[Key]:
        """Return the claims that a pod uses, and those that were made for it and are not in its status yet."""
        owned = [Key.of(claim) for claim in self._claims.by_index(OWNER, pod.metadata.uid)]
        return [*owned, *(Key(pod.metadata.namespace, name) for name in claims_of(pod))]

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        deleted = self._deleted.pop(key, "")
        if claim is None:
            return DONE
        if claim.metadata.uid == deleted and claim.metadata.deletionTimestamp is None:
            self._deleted[key] = deleted
            return DONE
        await self._apply(claim, await self._plan(claim))
        return DONE

    async def _plan(self, claim: ResourceClaim) -> Release:
        namespace = claim.metadata.namespace
        consumers = [consumer for consumer in claim.status.reservedFor if is_pod(consumer)]
        ended = {one.uid for one in consumers if not await self._needs_claims(Key(namespace, one.name), one.uid)}
        owner = owning_pod(claim)
        owner_ended = False
        if owner is not None and self._pods.get(Key(namespace, owner.name)) is not None:
            # What a pod leaves that is gone is the garbage collector's; one that is not in the cache may just have come.
            owner_ended = not await self._needs_claims(Key(namespace, owner.name), owner.uid)
        return release(claim, ended, owner_ended=owner_ended)

    async def _needs_claims(self, key: Key, uid: str) -> bool:
        """Return whether this very pod may still use claims. What the cache does not show, the server is asked for."""
        pod = self._pods.get(key)
        if pod is None or pod.metadata.uid != uid:
            try:
                pod = await self._ctx.client.get(self._pods.kind, key.name, key.namespace)
            except NotFound:
                return False
        return pod.metadata.uid == uid and needs_claims(pod)

    async def _apply(self, claim: ResourceClaim, step: Release) -> None:
        client = self._ctx.client
        left = await write_status(client, claim, step.status)
        if left is not None and step.unprotect:
            finalizers = [name for name in left.metadata.finalizers if name != FINALIZER]
            meta = msgspec.structs.replace(left.metadata, finalizers=finalizers)
            left = await update_present(client, msgspec.structs.replace(left, metadata=meta))
        if left is not None and step.discard:
            await delete_exact(client, ResourceClaim, left.metadata, unchanged=True)
            self._deleted[Key.of(left)] = left.metadata.uid


def _frees(old: SlimPod | None, new: SlimPod | None) -> bool:
    """Return whether a change of a pod can end its use of claims."""
    pod = new or old
    if pod is None or not (pod.spec.resourceClaims or claims_of(pod)):
        return False
    return new is None or not needs_claims(new) or (old is not None and old.metadata.uid != new.metadata.uid)
