"""Fate of an object, from the state of its owners and dependents ("Garbage Collection"). Pure.

some owner is there                      references to the others are taken off
none is, one waits for its dependents    deleted; in the foreground when it has dependents itself
none is                                  deleted, in the way that its own finalizers say
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.garbage.graph import FOREGROUND, ORPHAN, is_waiting

Owner = Literal["solid", "waiting", "absent", "unknown"]
"""State of an owner: it exists; exists until its dependents are gone; does not exist; or is of a kind that cannot be looked up."""

Propagation = Literal["Background", "Foreground", "Orphan"]


class Fate(NamedTuple):
    """Action on an object: delete it (`propagation`), write other owner references (`owners`), both, or neither."""

    propagation: Propagation | None = None
    owners: Sequence[OwnerReference] | None = None


def fate(meta: ObjectMeta, states: Mapping[str, Owner], dependents: Iterable[ObjectMeta]) -> Fate:
    """Decide the fate of an object with these owners (`states` by uid) and dependents."""
    references = meta.ownerReferences
    owners = [states[reference.uid] for reference in references]
    if not owners:
        return Fate()
    if "solid" in owners or "unknown" in owners:
        kept = [reference for reference in references if states[reference.uid] in ("solid", "unknown")]
        # Who cannot be looked up is no reason to keep an object, nor to touch it.
        return Fate(owners=kept) if "solid" in owners and len(kept) < len(references) else Fate()
    below = list(dependents)
    if "waiting" in owners and below:
        if any(is_waiting(dependent) for dependent in below):
            # Owners and dependents wait for each other: this one stops blocking, so that the circle opens.
            return Fate("Foreground", [_unblocking(reference) for reference in references])
        return Fate("Foreground")
    if ORPHAN in meta.finalizers:
        return Fate("Orphan")
    return Fate("Foreground" if FOREGROUND in meta.finalizers else "Background")


def _unblocking(reference: OwnerReference) -> OwnerReference:
    return OwnerReference(
        apiVersion=reference.apiVersion,
        kind=reference.kind,
        name=reference.name,
        uid=reference.uid,
        controller=reference.controller,
        blockOwnerDeletion=False,
    )


def blocks(meta: ObjectMeta, owner: str) -> bool:
    """Return whether the object blocks the deletion of its owner (a uid)."""
    return any(reference.uid == owner and reference.blockOwnerDeletion for reference in meta.ownerReferences)
