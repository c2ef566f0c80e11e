"""The control loop of generic ephemeral volumes."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pod_claims import ownership_error
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.controllers.ephemeralvolume.plan import has_volumes, new_claim, plan
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.shared.volumes import CLAIM, index_claims
from tiphys.obs import metrics
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole

CREATES = metrics.counter("ephemeral_volume_controller_create_total", "Requests to create PersistentVolumeClaims.")
FAILURES = metrics.counter("ephemeral_volume_controller_create_failures_total", "Failed requests to create PersistentVolumeClaims.")


class ForeignClaim(Exception):
    """A claim has the name of a pod's ephemeral volume, and was not made for the pod."""


class EphemeralVolumeController:
    """Makes the claims of pods' generic ephemeral volumes. Keys are pods.

    The pod is read from the server before its claims are made: the cache keeps no templates, and a pod that is gone must get no claim.
    A claim has one possible name, so none is made twice. The garbage collector deletes claims with their pod.
    """

    declaration = Declaration(
        name="ephemeral-volume-controller",
        kind=core.Pod,
        roles=("ephemeral-volume-controller",),
        reads=(Whole(core.PersistentVolumeClaim), PODS),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._pods = index_claims(ctx.read(SlimPod))
        ctx.watch(self._pods, when=lambda old, new: old is None and new is not None and has_volumes(new))
        ctx.watch(self._claims, self._users, when=lambda old, new: new is None)

    def _users(self, claim: core.PersistentVolumeClaim) -> Iterable[Key]:
        pods = self._pods.by_index(CLAIM, f"{claim.metadata.namespace}/{claim.metadata.name}")
        return [Key.of(pod) for pod in pods if has_volumes(pod)]

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None:
            return DONE
        step = plan(pod, lambda name: self._claims.get(Key(key.namespace, name)))
        failure: Exception | None = None
        for volume, why in step.foreign.items():
            failure = ForeignClaim(why)
            self._tell(pod, volume, failure)
        if step.create:
            failure = await self._create(pod, frozenset(step.create)) or failure
        if failure is not None:
            raise failure
        return DONE

    async def _create(self, pod: SlimPod, missing: frozenset[str]) -> Exception | None:
        """Create claims. Returns one of the errors; events tell of each."""
        try:
            whole = await self._ctx.client.get(core.Pod, pod.metadata.name, pod.metadata.namespace)
        except NotFound:
            return None
        if whole.metadata.deletionTimestamp is not None:
            return None
        failure: Exception | None = None
        for volume in whole.spec.volumes:
            claim = new_claim(whole, volume) if volume.name in missing else None
            if claim is None:
                continue
            try:
                await self._post(whole, claim)
            except Exception as error:
                if not namespace_ends(error):
                    failure = error
                    self._tell(pod, volume.name, error)
        return failure

    async def _post(self, pod: core.Pod, claim: core.PersistentVolumeClaim) -> None:
        """Create a claim. One that is there already, which the cache does not show yet, is as good if it is the pod's."""
        CREATES.labels().inc()
        try:
            await self._ctx.client.create(claim)
        except AlreadyExists:
            FAILURES.labels().inc()
            there = await self._ctx.client.get(core.PersistentVolumeClaim, claim.metadata.name, claim.metadata.namespace)
            if why := ownership_error(pod.metadata, there):
                raise ForeignClaim(why) from None
        except Exception as error:
            FAILURES.labels().inc()
            error.add_note(f"create PVC {claim.metadata.name}")
            raise

    def _tell(self, pod: SlimPod, volume: str, error: Exception) -> None:
        action = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
        self._ctx.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume}: {action}{error}")
