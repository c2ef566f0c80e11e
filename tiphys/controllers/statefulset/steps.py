"""Writes of a step of a StatefulSet, and the events about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.client.client import Client
from tiphys.controllers.shared.batches import Outcome, all_at_once, slow_start
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.revisions import restore
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.claims import Ownership
from tiphys.controllers.statefulset.identity import identity_labels, make_pod, pod_name
from tiphys.controllers.statefulset.members import Removal
from tiphys.controllers.statefulset.plan import Birth, Plan
from tiphys.runtime import EventRecorder, Informer, Key, controller_of, delete_exact, update_present


class Steps:
    """Executor of one plan, in its order."""

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        owner: apps.StatefulSet,
        revisions: Mapping[str, apps.ControllerRevision],
        pods: Informer[SlimPod],
    ) -> None:
        self.created: list[core.Pod] = []
        self.deleted: list[str] = []
        self.doubtful: list[str] = []
        """Uids of pods: deleted, and perhaps deleted since the answer was an error."""
        self._client = client
        self._recorder = recorder
        self._owner = owner
        self._revisions = revisions
        self._pods = pods
        self._templates: dict[str, core.PodTemplateSpec] = {}

    async def take(self, step: Plan) -> None:
        """Take the step; raises the first error."""
        self._report_obstacles(step)
        for missing in step.claims:
            await self._create_claim(*missing)
        for change in step.owners:
            await self._own(change)
        for pod in step.relabel:
            await self._relabel(pod)
        births = iter(step.create)
        creations = await slow_start(len(step.create), lambda: self._create(next(births)))
        # What cannot be created (a quota) must not keep what should go.
        deletions = await self._delete_all(step.delete)
        for error in (creations.error, deletions.error):
            if error is not None:
                raise error

    async def _delete_all(self, removals: Sequence[Removal]) -> Outcome:
        if self._owner.spec.podManagementPolicy == "Parallel":
            return await all_at_once(removals, self._delete)
        for done, removal in enumerate(removals):
            try:
                await self._delete(removal)
            except Exception as error:
                return Outcome(done, error)
        return Outcome(len(removals))

    def _report_obstacles(self, step: Plan) -> None:
        for pod, claim in step.waiting.items():
            self._failed("Create", pod, f"pvc {claim} is being deleted")
        for misfit in step.misfits:
            self._failed("Update", misfit.metadata.name, "its volumes are not the claims of its ordinal, and cannot be changed")

    async def _own(self, change: Ownership) -> None:
        if change.contested:
            message = (
                f"PersistentVolumeClaim {change.claim.metadata.name} has a conflicting OwnerReference that acts as a managing controller, "
                "the retention policy is ignored for this claim"
            )
            self._recorder.event(self._owner, "Warning", "ConflictingController", message)
        await update_present(self._client, change.claim)

    async def _relabel(self, pod: SlimPod) -> None:
        meta = pod.metadata
        body = {"metadata": {"uid": meta.uid, "labels": identity_labels(pod)}}
        try:
            await self._client.patch(core.Pod, meta.name, meta.namespace, body=body)
        except NotFound:
            return
        except StatusError as error:
            self._failed("Update", meta.name, error)
            raise
        self._succeeded("Update", meta.name)

    async def _create_claim(self, pod: str, claim: core.PersistentVolumeClaim) -> None:
        what = f"Create Claim {claim.metadata.name} {{}}Pod {pod} in StatefulSet {self._owner.metadata.name}"
        try:
            await self._client.create(claim)
        except AlreadyExists:
            raise
        except Exception as error:
            if not namespace_ends(error):
                self._recorder.event(self._owner, "Warning", "FailedCreate", f"{what.format('for ')} failed error: {error}")
            raise
        self._recorder.event(self._owner, "Normal", "SuccessfulCreate", f"{what.format('')} success")

    async def _create(self, birth: Birth) -> None:
        name = pod_name(self._owner, birth.ordinal)
        try:
            for claim in birth.claims:
                await self._create_claim(name, claim)
            pod = make_pod(self._owner, self._template(birth.revision), birth.ordinal, birth.revision)
            self.created.append(await self._client.create(pod))
        except Exception as error:
            if not namespace_ends(error) and not self._is_ours(error, name):
                self._failed("Create", name, error)
            raise
        self._succeeded("Create", name)

    def _is_ours(self, error: Exception, name: str) -> bool:
        """Return whether a name is taken as far as we know by ourselves: the cache is behind, which is nobody's concern."""
        if not isinstance(error, AlreadyExists):
            return False
        pod = self._pods.get(Key(self._owner.metadata.namespace, name))
        above = controller_of(pod) if pod is not None else None
        return pod is None or (above is not None and above.uid == self._owner.metadata.uid)

    def _template(self, revision: str) -> core.PodTemplateSpec:
        template = self._templates.get(revision)
        if template is None:
            template = self._templates[revision] = restore(self._owner, self._revisions[revision]).spec.template
        return template

    async def _delete(self, removal: Removal) -> None:
        meta = removal.pod.metadata
        try:
            deleted = await delete_exact(self._client, core.Pod, meta, unchanged=removal.unchanged)
        except Conflict:
            # It is another pod by now, or has become ready.
            raise
        except Exception as error:
            self.doubtful.append(meta.uid)
            self._failed("Delete", meta.name, error)
            raise
        self.deleted.append(meta.uid)
        if deleted:
            self._succeeded("Delete", meta.name)

    def _succeeded(self, verb: str, pod: str) -> None:
        message = f"{verb} Pod {pod} in StatefulSet {self._owner.metadata.name} successful"
        self._recorder.event(self._owner, "Normal", f"Successful{verb}", message)

    def _failed(self, verb: str, pod: str, error: object) -> None:
        message = f"{verb} Pod {pod} in StatefulSet {self._owner.metadata.name} failed error: {error}"
        self._recorder.event(self._owner, "Warning", f"Failed{verb}", message)
