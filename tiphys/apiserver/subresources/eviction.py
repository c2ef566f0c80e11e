"""eviction: a delete that asks the disruption budgets first ("API-initiated Eviction")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET, condition
from tiphys.api.machinery.base import time
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import BadRequest, Forbidden, InternalError, TooManyRequests
from tiphys.api.machinery.selectors import from_label_selector
from tiphys.api.meta.v1 import DeleteOptions, StatusCause, StatusDetails
from tiphys.api.policy import v1 as policy
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import check_delete
from tiphys.apiserver.verbs.delete import check_preconditions, remove
from tiphys.apiserver.verbs.pipeline import check_place, read_body, update_named
from tiphys.wire.http import Response

MAX_DISRUPTED = 2000


async def create(ctx: Context) -> Response:
    """POST of an Eviction; answers 429 when a budget does not allow it now."""
    eviction: policy.Eviction = await read_body(ctx, policy.Eviction)
    if eviction.metadata.name != ctx.info.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    check_place(ctx, eviction, named=True)
    pod = ctx.services.source.get(core.Pod, ctx.info.namespace, ctx.info.name)
    if pod is None:
        raise ctx.not_found()
    options = eviction.deleteOptions or DeleteOptions()
    _merge_dry_run(ctx, options)
    check_delete(options)
    if not _is_free_to_go(pod):
        budget = _budget(ctx, pod)
        if budget is not None and not _unhealthy_may_go(pod, budget):
            await _spend(ctx, pod, budget, dry=bool(options.dryRun))
    if not options.dryRun:
        await _mark(ctx, pod, options)
    await remove(ctx, pod.metadata.namespace, pod.metadata.name, options)
    return render.status_success(ctx)


async def _mark(ctx: Context, pod: core.Pod, options: DeleteOptions) -> None:
    """Set the condition that says why the pod goes, which Jobs may ignore as a failure ("Pod disruption conditions")."""
    services = ctx.services
    place = Context(ctx.request, ctx.info, services.scheme.of(core.Pod), ctx.user, services)
    codec = ctx.storage.cache(place.kind).codec

    def change(entry: Entry, old: core.Pod) -> core.Pod:
        if options.preconditions is not None:
            check_preconditions(place, entry, old, options.preconditions)
        new: core.Pod = codec.decode(entry.data)
        new.metadata.resourceVersion = ""
        known = condition(old, DISRUPTION_TARGET)
        since = known.lastTransitionTime if known is not None and known.status == "True" else time(services.now())
        mark = core.PodCondition(
            type=DISRUPTION_TARGET,
            status="True",
            lastTransitionTime=since,
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
        )
        new.status.conditions = [*(one for one in new.status.conditions if one.type != DISRUPTION_TARGET), mark]
        return new

    entry, _ = await update_named(place, pod.metadata.namespace, pod.metadata.name, change, subresource="status")
    if options.preconditions is not None and options.preconditions.resourceVersion:
        options.preconditions.resourceVersion = str(entry.revision)


def _merge_dry_run(ctx: Context, options: DeleteOptions) -> None:
    """A dry run can stand in the query or in the body; both must say the same."""
    sent = ctx.options.dryRun
    if sent and options.dryRun and sent != options.dryRun:
        shown, own = (f"[{' '.join(names)}]" for names in (sent, options.dryRun))
        raise InternalError(f"Non-matching dry-run options in request and content: {shown} and {own}")
    options.dryRun = options.dryRun or list(sent)
    ctx.deletes_dry = bool(options.dryRun)


def _is_free_to_go(pod: core.Pod) -> bool:
    """Pods that no budget counts: finished, never started, or going already."""
    return pod.status.phase in ("Succeeded", "Failed", "Pending") or pod.metadata.deletionTimestamp is not None


def _budget(ctx: Context, pod: core.Pod) -> policy.PodDisruptionBudget | None:
    budgets = [
        budget
        for budget in ctx.services.source.objects(policy.PodDisruptionBudget)
        if budget.metadata.namespace == pod.metadata.namespace and from_label_selector(budget.spec.selector).matches(pod.metadata.labels)
    ]
    if len(budgets) > 1:
        raise InternalError("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    return budgets[0] if budgets else None


def _unhealthy_may_go(pod: core.Pod, budget: policy.PodDisruptionBudget) -> bool:
    ready = is_true(pod.status.conditions, "Ready")
    if ready:
        return False
    if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow":
        return True
    return budget.status.currentHealthy >= budget.status.desiredHealthy > 0


async def _spend(ctx: Context, pod: core.Pod, budget: policy.PodDisruptionBudget, *, dry: bool) -> None:
    """Take one allowed disruption from the budget, atomically; raises TooManyRequests when there is none."""
    services = ctx.services
    place = Context(ctx.request, ctx.info, services.scheme.of(policy.PodDisruptionBudget), ctx.user, services)
    name = budget.metadata.name

    cache = ctx.storage.cache(place.kind)

    def change(entry: Entry, old: policy.PodDisruptionBudget) -> policy.PodDisruptionBudget:
        status = old.status
        if status.observedGeneration < old.metadata.generation:
            raise _refused(name, "The disruption budget is still being processed by the server.", retry_after=10)
        if status.disruptionsAllowed < 0:
            raise Forbidden.resource("poddisruptionbudgets", name, "pdb disruptions allowed is negative", group="policy")
        if len(status.disruptedPods) > MAX_DISRUPTED:
            raise Forbidden.resource(
                "poddisruptionbudgets",
                name,
                "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
                group="policy",
            )
        if status.disruptionsAllowed == 0:
            needs = f"needs {status.desiredHealthy} healthy pods and has {status.currentHealthy} currently"
            raise _refused(name, f"The disruption budget {name} {needs}")
        new: policy.PodDisruptionBudget = cache.codec.decode(entry.data)
        new.metadata.resourceVersion = ""  # A race with the disruption controller is looked at again, not refused.
        new.status.disruptionsAllowed -= 1
        new.status.disruptedPods[pod.metadata.name] = time(services.now())
        return new

    if dry:
        current = cache.get(pod.metadata.namespace, name)
        if current is not None:
            change(current, budget)
        return
    await update_named(place, pod.metadata.namespace, name, change, subresource="status")


def _refused(name: str, why: str, *, retry_after: int = 0) -> TooManyRequests:
    cause = StatusCause(reason="DisruptionBudget", message=why)
    details = StatusDetails(name=name, causes=[cause])
    error = TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", details=details)
    details.retryAfterSeconds = retry_after
    return error
