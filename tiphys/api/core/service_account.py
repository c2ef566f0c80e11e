"""ServiceAccount: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.v1 import ServiceAccount
from tiphys.api.machinery.columns import AGE, NAME
from tiphys.api.machinery.scheme import GroupVersionKind, Kind, Rules, Subresource


class ServiceAccountRules(Rules[ServiceAccount]):
    def prepare_create(self, obj: ServiceAccount) -> None:
        for secret in obj.secrets:
            secret.kind = secret.namespace = secret.uid = secret.apiVersion = secret.resourceVersion = secret.fieldPath = ""

    def prepare_update(self, new: ServiceAccount, old: ServiceAccount) -> None:
        self.prepare_create(new)


COLUMNS = (NAME, AGE)

SERVICE_ACCOUNTS: Kind[core.ServiceAccount] = Kind(
    type=core.ServiceAccount,
    plural="serviceaccounts",
    rules=ServiceAccountRules(),
    columns=COLUMNS,
    short_names=("sa",),
    subresources=(Subresource("token", ("create",), GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")),),
    shown_when_deleted=True,
)
