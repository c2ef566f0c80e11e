"""One line of the declaration, and how to write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

Effect = Literal["enforced", "refused", "dropped", "warned", "informational"]

Sample = dict[str, Any]
"""Document to merge into a minimal object so that it has the field."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Effect of one field of a type, with everything below it unless that is declared too; or of some of its values."""

    owner: type[msgspec.Struct]
    field: str
    """By its name on the wire; `metadata.labels` for labels that count like a field."""
    effect: Effect
    case: str = ""
    """The values that are meant; "": all that no other entry names."""
    keys: str = ""
    """In a map: the keys that are meant, as a pattern of the shell."""
    by: tuple[str, ...] = ()
    """Modules that enforce the field."""
    text: str = ""
    """Text of the warning or the refusal after the field's path; of the others what there is to know."""
    when: Callable[[Any], bool] | None = None
    """For warnings: whether a value of `owner` is meant. By default when the field is set."""
    sample: Sample | None = None
    elsewhere: bool = False
    """True if other rules give the warning already, with `text` somewhere in it."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that belong together; samples are merged into a minimal object of `kind`."""

    title: str
    kind: str
    entries: tuple[Entry, ...]


def enforced(owner: type[msgspec.Struct], fields: str, *by: str, text: str = "", case: str = "", keys: str = "") -> tuple[Entry, ...]:
    """Fields (names separated by spaces) that modules of tiphys enforce: `node.pod.plan` is `tiphys.node.pod.plan`."""
    modules = tuple(f"tiphys.{module}" for module in by)
    return tuple(
        Entry(owner=owner, field=field, effect="enforced", by=modules, text=text, case=case, keys=keys) for field in fields.split()
    )


def informational(owner: type[msgspec.Struct], fields: str, text: str) -> tuple[Entry, ...]:
    """Fields for people and programs to read; nothing in Kubernetes acts on them."""
    return tuple(Entry(owner=owner, field=field, effect="informational", text=text) for field in fields.split())


def warned(
    owner: type[msgspec.Struct],
    field: str,
    text: str,
    sample: Sample,
    *,
    when: Callable[[Any], bool] | None = None,
    case: str = "",
    keys: str = "",
    elsewhere: bool = False,
) -> tuple[Entry, ...]:
    """A field that is accepted and does not work as upstream: setting it gives a warning."""
    return (
        Entry(
            owner=owner, field=field, effect="warned", text=text, sample=sample, when=when, case=case, keys=keys, elsewhere=elsewhere,
        ),
    )  # fmt: skip


def dropped(owner: type[msgspec.Struct], field: str, sample: Sample) -> tuple[Entry, ...]:
    """A field of a feature that is off by default in Kubernetes: it is silently removed from new objects, as upstream does."""
    text = "The feature is off by default in Kubernetes."
    return (Entry(owner=owner, field=field, effect="dropped", text=text, sample=sample),)


def refused(owner: type[msgspec.Struct], field: str, text: str, sample: Sample, *, case: str = "") -> tuple[Entry, ...]:
    """A field, or values of it, with which an object is not created."""
    return (Entry(owner=owner, field=field, effect="refused", text=text, sample=sample, case=case),)
