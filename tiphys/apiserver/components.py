"""componentstatuses: health of the parts of the control plane, checked on request and never stored ("ComponentStatus").

The store is asked here. Who runs the other parts in this process says how they are; parts that run elsewhere show by their leases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tiphys.api.coordination.v1 import Lease
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import parse_micro_time
from tiphys.api.machinery.durations import later
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.answers import render
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import list_options
from tiphys.apiserver.verbs.read import parsed_matcher
from tiphys.wire.http import Response

Check = Callable[[], str]
"""Check of a part: returns the reason why it fails, or ""."""

LEASES = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler"}
"""Parts that may run elsewhere, and the leases of kube-system by which they are known."""


def by_lease(source: ObjectSource, name: str, now: Callable[[], datetime]) -> Check:
    """A part is healthy while its lease is renewed."""

    def check() -> str:
        lease = source.get(Lease, "kube-system", name)
        if lease is None or not lease.spec.holderIdentity or lease.spec.renewTime is None:
            return f"nobody holds the lease kube-system/{name}"
        ends = later(parse_micro_time(lease.spec.renewTime), lease.spec.leaseDurationSeconds or 0)
        return "" if now() <= ends else f"the lease kube-system/{name} ended at {ends:%Y-%m-%dT%H:%M:%SZ}"

    return check


async def get(ctx: Context) -> Response:
    """One part."""
    check = ctx.services.components.get(ctx.info.name)
    if check is None:
        raise ctx.not_found()
    return render.single(ctx, _entry(ctx, ctx.info.name, check))


async def list_(ctx: Context) -> Response:
    """All parts."""
    matches = await parsed_matcher(ctx, list_options(ctx.request))
    entries = [_entry(ctx, name, check) for name, check in sorted(ctx.services.components.items())]
    return await render.collection(ctx, [entry for entry in entries if matches is None or matches(entry)], ctx.storage.revision)


def _entry(ctx: Context, name: str, check: Check) -> Entry:
    wrong = check()
    condition = core.ComponentCondition(type="Healthy", status="False" if wrong else "True", message="" if wrong else "ok", error=wrong)
    status: Any = core.ComponentStatus(metadata=ObjectMeta(name=name), conditions=[condition])
    return Entry("", name, 0, ctx.storage.cache(ctx.kind).codec.encode(status), {}, {})
