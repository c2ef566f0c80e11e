"""ClusterRole aggregation: fills roles with the rules of the roles that they select ("Aggregated ClusterRoles")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.helpers.cluster_roles import aggregated_rules
from tiphys.api.machinery.errors import Conflict
from tiphys.api.machinery.selectors import SelectorError
from tiphys.api.rbac import v1 as rbac
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Terminal, Whole

AGGREGATED = "aggregated"
"""Index: the one value "yes" for roles that select others."""


def is_aggregated(role: rbac.ClusterRole) -> Iterable[str]:
    """Return the function of the AGGREGATED index."""
    return ("yes",) if role.aggregationRule is not None else ()


class ClusterRoleAggregationController:
    """Keys are cluster roles. Which roles select which is not known before they are looked at, so any change concerns all that select."""

    declaration = Declaration(
        name="clusterrole-aggregation-controller",
        kind=rbac.ClusterRole,
        roles=("clusterrole-aggregation-controller",),
        reads=(Whole(rbac.ClusterRole),),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._roles = ctx.read(rbac.ClusterRole)
        self._roles.add_index(AGGREGATED, is_aggregated)
        ctx.watch(self._roles, self._keys, when=lambda old, new: _facts(old) != _facts(new))

    def _keys(self, _: rbac.ClusterRole) -> Iterable[Key]:
        return map(Key.of, self._roles.by_index(AGGREGATED, "yes"))

    async def reconcile(self, key: Key) -> Result:
        role = self._roles.get(key)
        if role is None or role.aggregationRule is None or role.metadata.deletionTimestamp is not None:
            return DONE
        try:
            rules = aggregated_rules(role, self._roles.list())
        except SelectorError as error:
            raise Terminal(f"the aggregationRule has an invalid selector: {error}") from error
        if rules != (role.rules or []):
            await self._write(role, rules)
        return DONE

    async def _write(self, role: rbac.ClusterRole, rules: list[rbac.PolicyRule]) -> None:
        """Apply the rules under upstream's name in managedFields. The uid keeps a role that is gone from coming back."""
        meta = role.metadata
        body = {"apiVersion": role.apiVersion, "kind": role.kind, "metadata": {"name": meta.name, "uid": meta.uid}, "rules": rules}
        try:
            await self._ctx.client.patch(
                rbac.ClusterRole, meta.name, body=body, kind="apply", field_manager=self.declaration.name, force=True
            )
        except Conflict:
            # It is gone, or another one has its name: the cache will tell.
            return


def _facts(role: rbac.ClusterRole | None) -> object:
    return (role.metadata.labels, role.rules, role.aggregationRule) if role is not None else None
