"""The plugins that are on, in the order in which they run."""

from __future__ import annotations

from collections.abc import Collection

from tiphys.aio.clock import Clock
from tiphys.apiserver.admission.chain import AdmissionChain, AdmissionPlugin
from tiphys.apiserver.admission.escalation import RbacEscalation
from tiphys.apiserver.admission.limit_ranger import LimitRanger
from tiphys.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from tiphys.apiserver.admission.node_restriction import NodeRestriction
from tiphys.apiserver.admission.priority import Priority
from tiphys.apiserver.admission.resource_quota import ResourceQuotas
from tiphys.apiserver.admission.service_account import ServiceAccounts
from tiphys.apiserver.admission.taints import DefaultTolerationSeconds, TaintNodesByCondition
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.storage import Storage


def default_chain(
    *, guard: EscalationGuard, authorizer: Authorizer, clock: Clock, storage: Storage | None = None, disabled: Collection[str] = ()
) -> AdmissionChain:
    """The chain of a cluster. `disabled` holds names for `--disable-admission-plugins`; raises ValueError for an unknown one.

    Plugins that write need the `storage`; without it the chain only judges.
    """
    plugins: list[AdmissionPlugin] = [
        # First what refuses, then what fills in.
        NamespaceLifecycle(),
        LimitRanger(),
        ServiceAccounts(),
        NodeRestriction(authorizer),
        TaintNodesByCondition(),
        Priority(),
        DefaultTolerationSeconds(),
    ]
    if storage is not None:
        plugins.append(ResourceQuotas(storage, clock=clock))
    unknown = set(disabled) - {plugin.name for plugin in plugins}
    if unknown:
        raise ValueError(f"no such admission plugins: {', '.join(sorted(unknown))}")
    return AdmissionChain([*(p for p in plugins if p.name not in disabled), RbacEscalation(guard)], clock=clock)
