"""Lease: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.coordination import v1 as coordination
from tiphys.api.coordination.v1 import Lease
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import forbidden
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.rules.basics import Errors, label_name, non_negative, positive


def validate_lease(lease: Lease) -> Errors:
    """Return the mistakes in a lease ("Leases"; "Coordinated Leader Election")."""
    errors: Errors = []
    spec = lease.spec
    if spec.leaseDurationSeconds is not None:
        positive(errors, "spec.leaseDurationSeconds", spec.leaseDurationSeconds)
    non_negative(errors, "spec.leaseTransitions", spec.leaseTransitions)
    if spec.strategy:
        label_name(errors, "spec.strategy", spec.strategy)
    elif spec.preferredHolder:
        errors.append(forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return errors


class LeaseRules(Uncounted[Lease]):
    names_finalizers = False
    create_on_update = True
    needs_version = True

    def prepare_create(self, obj: Lease) -> None:
        obj.spec.strategy = obj.spec.preferredHolder = None  # Off in this version ("CoordinatedLeaderElection").

    def prepare_update(self, new: Lease, old: Lease) -> None:
        if old.spec.strategy is None and old.spec.preferredHolder is None:
            self.prepare_create(new)

    validate = staticmethod(validate_lease)


COLUMNS = (NAME, Column("Holder", cell(lambda obj: obj.spec.holderIdentity or ""), description="Who holds the lease."), AGE)

LEASES: Kind[coordination.Lease] = Kind(
    type=coordination.Lease, plural="leases", rules=LeaseRules(), columns=COLUMNS, group="coordination.k8s.io"
)

KINDS: tuple[Kind[Any], ...] = (LEASES,)
