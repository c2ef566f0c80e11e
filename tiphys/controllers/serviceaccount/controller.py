"""The service account `default` of every namespace ("Managing Service Accounts")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.namespaces import is_active, skip_ended
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole

ACCOUNT = "default"


def _namespace(account: core.ServiceAccount) -> Iterable[Key]:
    return (Key("", account.metadata.namespace),) if account.metadata.name == ACCOUNT else ()


class ServiceAccountController:
    """Creates missing accounts. Keys are namespaces."""

    declaration = Declaration(
        name="serviceaccount",
        kind=core.Namespace,
        roles=("service-account-controller",),
        reads=(Whole(core.Namespace), Whole(core.ServiceAccount)),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._namespaces = ctx.read(core.Namespace)
        self._accounts = ctx.read(core.ServiceAccount)
        ctx.watch(self._namespaces)
        ctx.watch(self._accounts, _namespace, when=lambda old, new: new is None)

    async def reconcile(self, key: Key) -> Result:
        namespace = self._namespaces.get(key)
        if namespace is None or not is_active(namespace) or self._accounts.get(Key(key.name, ACCOUNT)) is not None:
            return DONE
        with skip_ended(AlreadyExists):
            await self._ctx.client.create(core.ServiceAccount(metadata=ObjectMeta(name=ACCOUNT, namespace=key.name)))
        return DONE
