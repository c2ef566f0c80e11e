"""One apply: a configuration merged into the live object, unless it fights with somebody else (KEP-555 "Server-side Apply")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from tiphys.api.machinery import ordered
from tiphys.api.machinery.apply import document, fieldset
from tiphys.api.machinery.apply.conflicts import ApplyConflict, FieldConflict
from tiphys.api.machinery.apply.fieldset import Fields
from tiphys.api.machinery.apply.managers import BEFORE_APPLY, Manager, Owned, closed, opened, without
from tiphys.api.machinery.apply.schema import Schema
from tiphys.api.machinery.apply.typed import METADATA, ROOT, UNTRACKED
from tiphys.api.machinery.base import time
from tiphys.api.meta.v1.meta import ManagedFieldsEntry

_encode = ordered.encoder("deterministic")

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""The manager of `kubectl apply --server-side`, which takes over what client-side apply left."""
MAX_ANNOTATIONS = 256 << 10

_UNOWNED: Fields = {
    **{f"f:{name}": fieldset.LEAF for name in UNTRACKED[ROOT]},
    "f:metadata": {fieldset.SELF: fieldset.LEAF, **{f"f:{name}": fieldset.LEAF for name in UNTRACKED[METADATA]}},
}


class Applied(NamedTuple):
    """The object after an apply, as a document without managedFields, and its managers."""

    document: dict[str, Any]
    managers: list[ManagedFieldsEntry]


class Versions(Protocol):
    """The other versions of the applied kind, in which managers may own fields."""

    def schema(self, version: str) -> Schema | None:
        """The schema of a version, None when it is not served."""

    def convert(self, content: dict[str, Any], version: str, to: str) -> dict[str, Any]:
        """A document in another version; both are served."""


class Application(NamedTuple):
    """Manager of an apply, its version and its force."""

    manager: str
    version: str
    now: datetime
    subresource: str = ""
    force: bool = False
    resets: Sequence[Sequence[str]] = ()
    """Paths that the write does not set, so that nobody comes to own them by it."""
    versions: Versions | None = None
    """For kinds that are served in several versions."""


def apply(schema: Schema, live: dict[str, Any], entries: list[ManagedFieldsEntry], config: dict[str, Any], how: Application) -> Applied:
    """Merge `config` into `live`, both without managedFields.

    Fields that the manager applied before and does not apply now are removed unless somebody else owns them. Raises ApplyConflict when a
    field that somebody else owns would get another value (and `how.force` is not set), SchemaMismatch for a configuration that the type
    cannot hold.
    """
    fields = without(document.set_of(schema, config), how.resets)
    managers = opened(entries)
    if not managers:
        managers = _before_first(schema, live, how)
    try:
        done = _merged(schema, live, managers, config, fields, how)
    except ApplyConflict as conflict:
        if how.manager != KUBECTL or not _is_left_by_kubectl(schema, live, conflict, how):
            raise
        done = _merged(schema, live, managers, config, fields, how._replace(force=True))
    if how.manager == KUBECTL:
        _note_last_applied(done.document, config)
    return done


def _before_first(schema: Schema, live: dict[str, Any], how: Application) -> dict[Manager, Owned]:
    """Give the fields of an object that nobody tracked so far to `before-first-apply`."""
    if not live.get("metadata", {}).get("uid"):
        return {}
    there = document.compare(schema, _bare(live), live).changed
    there = without(
        {element: node for element, node in there.items() if element != ("f:spec" if how.subresource == "status" else "f:status")},
        how.resets,
    )
    owned = fieldset.difference(there, _UNOWNED)
    return {Manager("Update", BEFORE_APPLY, how.version): Owned(owned, how.version, time(how.now), None)} if owned else {}


def _bare(live: dict[str, Any]) -> dict[str, Any]:
    return {name: {} for name, value in live.items() if isinstance(value, dict)}


def _merged(
    schema: Schema, live: dict[str, Any], managers: dict[Manager, Owned], config: dict[str, Any], fields: Fields, how: Application
) -> Applied:
    self = Manager("Apply", how.manager, "", how.subresource)
    last = managers.get(self)
    merged = document.merge(schema, live, config)
    owners = {**managers, self: Owned(fields, how.version, None, None)}
    if last is not None:
        merged = _pruned(schema, merged, owners, last, how)
    changes = _changes(schema, live, merged)
    _settle_conflicts(owners, self, {how.version: changes, **_changes_elsewhere(live, merged, owners, how)}, how)
    mine = fieldset.difference(owners[self].fields, _UNOWNED)
    if changes.changed or changes.removed:
        owners[self] = Owned(mine, how.version, time(how.now), None)
    elif last is None or mine != last.fields or last.version != how.version:
        # The object stays as it is: as upstream, whose updater looks at nothing else, the time of the last change stays too.
        owners[self] = Owned(mine, how.version, None if last is None else last.time, None)
    else:
        owners[self] = last
    return Applied(merged, closed(owners))


def _changes(schema: Schema, live: dict[str, Any], merged: dict[str, Any]) -> document.Difference:
    changes = document.compare(schema, live, merged)
    return changes._replace(changed=fieldset.difference(changes.changed, _UNOWNED))


def _changes_elsewhere(
    live: dict[str, Any], merged: dict[str, Any], owners: dict[Manager, Owned], how: Application
) -> dict[str, document.Difference | None]:
    """Return the changes in the other versions that managers wrote in; None for those that are not served any more."""
    changes: dict[str, document.Difference | None] = {}
    for version in {owned.version for owned in owners.values()} - {how.version}:
        schema = how.versions.schema(version) if how.versions is not None else None
        if how.versions is None or schema is None:
            changes[version] = None
        else:
            changes[version] = _changes(
                schema, how.versions.convert(live, how.version, version), how.versions.convert(merged, how.version, version)
            )
    return changes


def _settle_conflicts(
    owners: dict[Manager, Owned], self: Manager, changes: dict[str, document.Difference | None], how: Application
) -> None:
    """Take what changed from everybody else, or raise ApplyConflict. Managers of versions that are not served are forgotten."""
    conflicts: list[FieldConflict] = []
    for manager, owned in sorted(owners.items()):
        theirs = changes[owned.version]
        if manager == self or theirs is None:
            continue
        disputed = fieldset.intersection(owned.fields, theirs.changed)
        conflicts += [FieldConflict(manager, path) for path in fieldset.paths(disputed)]
    if conflicts and not how.force:
        raise ApplyConflict(conflicts)
    touched = {version: None if theirs is None else fieldset.union(theirs.changed, theirs.removed) for version, theirs in changes.items()}
    for manager, owned in list(owners.items()):
        gone = touched[owned.version]
        if manager == self:
            continue
        if gone is None:
            del owners[manager]
        elif (left := fieldset.difference(owned.fields, gone)) is not owned.fields:
            owners[manager] = owned._replace(fields=left, entry=None)


def _pruned(schema: Schema, merged: dict[str, Any], owners: dict[Manager, Owned], last: Owned, how: Application) -> dict[str, Any]:
    """The merged object without the fields that the manager applied last and nobody claims now.

    Applied fields are found in the version in which they were applied, and fields of others in theirs.
    """
    by_version: dict[str, list[Fields]] = {}
    for owner in owners.values():
        by_version.setdefault(owner.version, []).append(owner.fields)
    owned = {version: fieldset.union_of(sets) for version, sets in by_version.items()}
    versions = how.versions
    if versions is None or owned.keys() <= {last.version} == {how.version}:
        return _pruned_within(schema, merged, owned.get(how.version, {}), last.fields) if last.version == how.version else merged
    there = versions.schema(last.version)
    if there is None:
        return merged
    whole = versions.convert(merged, how.version, last.version)
    pruned = _pruned_within(there, whole, owned.pop(last.version, {}), last.fields)
    if pruned == whole:
        return merged
    result = versions.convert(pruned, last.version, how.version)
    for version, fields in owned.items():
        other = versions.schema(version)
        if other is not None:
            before = versions.convert(merged, how.version, version)
            after = _added_back(other, before, versions.convert(result, how.version, version), fields)
            result = versions.convert(after, version, how.version)
    return result


def _added_back(schema: Schema, merged: dict[str, Any], pruned: dict[str, Any], owned: Fields) -> dict[str, Any]:
    """Return the object after pruning, with those of the pruned fields that somebody owns."""
    named = document.with_named
    there = named(schema, document.compare(schema, {}, merged).changed)
    left = named(schema, document.compare(schema, {}, pruned).changed)
    gone = fieldset.difference(there, fieldset.union(left, named(schema, owned)))
    result: dict[str, Any] = document.remove(schema, merged, gone) or {}
    return result


def _pruned_within(schema: Schema, merged: dict[str, Any], owned: Fields, last: Fields) -> dict[str, Any]:
    """One version's part of pruning.

    Removing whole what was applied may take along what others own or nobody owns; so what is owned is put back, and so is what was never
    applied.
    """
    if not fieldset.difference(last, owned):
        return merged
    named = document.with_named
    there = named(schema, document.compare(schema, {}, merged).changed)
    applied = named(schema, last)
    bare = document.remove(schema, merged, applied) or {}
    owned_left = _added_back(schema, merged, bare, owned)
    left = named(schema, document.compare(schema, {}, owned_left).changed)
    gone = fieldset.intersection(fieldset.difference(there, left), applied)
    result: dict[str, Any] = document.remove(schema, merged, gone) or {}
    return result


def _is_left_by_kubectl(schema: Schema, live: dict[str, Any], conflict: ApplyConflict, how: Application) -> bool:
    """True if every disputed field still has the value that client-side apply noted; raises ApplyConflict with the rest otherwise."""
    noted = live.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED, "")
    try:
        config = msgspec.json.decode(noted or "null", type=dict)
        if config.get("apiVersion") != how.version:
            return False
        changes = document.compare(schema, config, live)
        fields = without(document.set_of(schema, config), how.resets)
    except (ValueError, msgspec.MsgspecError, AttributeError, TypeError):
        return False
    fields = fieldset.difference(fieldset.difference(fields, changes.changed), changes.removed)
    rest = [one for one in conflict.conflicts if not fieldset.has(fields, one.path)]
    if rest:
        raise ApplyConflict(rest)
    return True


def _note_last_applied(done: dict[str, Any], config: dict[str, Any]) -> None:
    """Keep client-side apply able to go on from here, if it was used on the object."""
    meta = done.get("metadata", {})
    annotations = meta.get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    own = dict(config)
    own_meta = dict(own.get("metadata") or {})
    if own_meta.get("annotations"):
        own_meta["annotations"] = {name: value for name, value in own_meta["annotations"].items() if name != LAST_APPLIED}
    own["metadata"] = own_meta
    text = _encode(own).decode() + "\n"
    noted = {**annotations, LAST_APPLIED: text}
    if sum(len(name) + len(value.encode()) for name, value in noted.items()) > MAX_ANNOTATIONS:
        del noted[LAST_APPLIED]
    done["metadata"] = {**meta, "annotations": noted}
