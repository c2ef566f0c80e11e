"""The plugins that are on, in the order in which they run."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from tiphys.aio.clock import Clock
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Scheme
from tiphys.apiserver.admission.admin_access import AdminAccess
from tiphys.apiserver.admission.certificates import CertificateApproval, CertificateSigning, CertificateSubjectRestriction
from tiphys.apiserver.admission.chain import AdmissionChain, AdmissionPlugin
from tiphys.apiserver.admission.default_classes import DefaultIngressClass, DefaultStorageClass
from tiphys.apiserver.admission.escalation import RbacEscalation
from tiphys.apiserver.admission.limit_ranger import LimitRanger
from tiphys.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from tiphys.apiserver.admission.node_restriction import NodeRestriction
from tiphys.apiserver.admission.optional import AlwaysPullImages, DenyServiceExternalIPs, ExtendedResourceToleration
from tiphys.apiserver.admission.owner_references import OwnerReferencesPermissionEnforcement
from tiphys.apiserver.admission.pod_security import PodSecurity
from tiphys.apiserver.admission.priority import Priority
from tiphys.apiserver.admission.provisioner_restriction import ProvisionerRestriction
from tiphys.apiserver.admission.resource_quota import ResourceQuotas
from tiphys.apiserver.admission.runtime_class import RuntimeClass
from tiphys.apiserver.admission.service_account import ServiceAccounts
from tiphys.apiserver.admission.storage import PersistentVolumeClaimResize, StorageObjectInUseProtection
from tiphys.apiserver.admission.taints import DefaultTolerationSeconds, TaintNodesByCondition
from tiphys.apiserver.admission.topology_labels import PodTopologyLabels
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.cache.storage import Storage

OFF = frozenset(
    (
        AlwaysPullImages.name,
        DenyServiceExternalIPs.name,
        ExtendedResourceToleration.name,
        OwnerReferencesPermissionEnforcement.name,
    )
)
"""Plugins that run only where `--enable-admission-plugins` names them."""


class UnknownPlugins(ValueError):
    """Invalid admission options; the message gives the reason, in the words of kube-apiserver."""


def default_chain(
    *,
    guard: EscalationGuard,
    authorizer: Authorizer,
    clock: Clock,
    rng: Random | None = None,
    storage: Storage | None = None,
    enabled: Collection[str] = (),
    disabled: Collection[str] = (),
    scheme: Scheme = SCHEME,
) -> AdmissionChain:
    """The chain of a cluster: the default plugins and `enabled`, without `disabled`. Raises UnknownPlugins.

    Plugins that write need the `storage`; without it the chain only validates.
    """
    plugins: list[AdmissionPlugin] = [
        # In upstream's order: first what refuses, then what fills in.
        NamespaceLifecycle(),
        LimitRanger(),
        ServiceAccounts(rng or Random()),
        NodeRestriction(authorizer),
        ProvisionerRestriction(),
        TaintNodesByCondition(),
        AlwaysPullImages(),
        PodSecurity(),
        Priority(),
        DefaultTolerationSeconds(),
        ExtendedResourceToleration(),
        DefaultStorageClass(),
        StorageObjectInUseProtection(),
        OwnerReferencesPermissionEnforcement(authorizer, scheme),
        PersistentVolumeClaimResize(),
        RuntimeClass(),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(),
        DenyServiceExternalIPs(),
        PodTopologyLabels(),
    ]
    if storage is not None:
        plugins.append(ResourceQuotas(storage, clock=clock))
    _check({plugin.name for plugin in plugins}, enabled, disabled)
    off = {*disabled, *(OFF - set(enabled))}
    return AdmissionChain([*(p for p in plugins if p.name not in off), AdminAccess(), RbacEscalation(guard)], clock=clock)


def _check(known: Collection[str], enabled: Collection[str], disabled: Collection[str]) -> None:
    wrong = [
        f'{option} plugin "{name}" is unknown'
        for option, names in (("enable-admission-plugins", enabled), ("disable-admission-plugins", disabled))
        for name in names
        if name not in known
    ]
    if both := sorted(set(enabled) & set(disabled)):
        wrong.append(f"[{' '.join(both)}] in enable-admission-plugins and disable-admission-plugins overlapped")
    if wrong:
        raise UnknownPlugins("; ".join(wrong))
