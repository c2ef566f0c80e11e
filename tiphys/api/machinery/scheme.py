"""The one registry of kinds: which type a kind has, where it is served, and which rules it follows.

A kind is declared once, in its module `tiphys/api/<group>/<kind>.py`, as a `Kind`; handlers, storage, discovery, OpenAPI, tables and
clients read it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import dns_subdomain
from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)

METADATA_STAYS: Mapping[str, Sequence[tuple[str, ...]]] = {"": (("status",),), "status": (("metadata",), ("spec",))}
"""`Rules.resets` of kinds whose metadata a write of the status does not change."""

_KEPT_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class GroupVersionKind(NamedTuple):
    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table that `kubectl get` shows. `priority` 0 is always shown, 1 only with `-o wide`.

    `cell(obj, now)` gives a str, int, bool or None.
    """

    name: str
    cell: Callable[[Any, datetime], Any]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    metered: Callable[[Any], Any] | None = None
    """The cell of a `columns.Row`, for columns that users define: what they take is limited for all cells together."""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object, such as `status` or `log`. `type` is the kind it speaks when that is not the parent's."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    kind: GroupVersionKind | None = None


@dataclass(frozen=True, slots=True)
class Part(Generic[ObjectT]):
    """A subresource through which some fields of an object's spec, or of its status, are changed and nothing else."""

    keep: Callable[[ObjectT, ObjectT], None]
    """`keep(new, old)` puts back the rest of the spec (of the status); the generic code has put back everything else."""
    validate: Callable[[ObjectT, ObjectT], list[FieldError]]
    """Changes that are not allowed, given new and old; of a part of the spec `Rules.validate(new)` has run already."""
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The fields of the spec, each with the names that count in its items (none: all). What else an apply names is not owned."""
    of_status: bool = False
    """True if it is a part of the status."""


class Author(Protocol):
    """Maker of an object, as the server knows them."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def groups(self) -> Sequence[str]: ...
    @property
    def extra(self) -> Mapping[str, Sequence[str]]: ...


class Rules(Generic[ObjectT]):
    """Rules of a kind beyond its type. The methods work on typed objects, in place where they change something; all are pure.

    The order on a create: default, prepare_create, (admission), validate and validate_create. On an update: default, prepare_update,
    (admission), validate and validate_update. On a status update: default, prepare_status_update, validate_status_update. Validation
    returns every mistake.
    """

    create_on_update = False
    """True if a PUT to a missing name creates the object."""

    ratchets = False
    """True if an update is judged by `validate_update` alone, which lets old mistakes pass."""

    needs_version = False
    """True if an update must name the resourceVersion that it replaces."""

    counted = True
    """True if metadata.generation of a kind with a spec begins at 1. Where it does not, the client's value is kept."""

    names_finalizers = True
    """True if finalizers must be standard ones or have a domain."""

    judges_prefix = True
    """True if metadata.generateName is validated, and not only the name that is made from it."""

    collected = True
    """True if objects may have dependents, which a delete orphans or waits for."""

    status_wins_on_create = False
    """True if a create keeps the status it came with."""

    resets: Mapping[str, Sequence[tuple[str, ...]]] = {"": (("status",),), "status": (("spec",),)}
    """Paths that a write through a subresource ("": the object itself, and subresources that are left out) cannot set, and that its author
    does not own. For kinds with a status subresource."""

    parts: Mapping[str, Part[ObjectT]] = {}
    """The subresources that change a part of the spec or of the status, by name."""

    orphans_dependents = False
    """True if a delete that says nothing about dependents leaves them behind. So do kinds that are older than garbage collection."""

    orphaning_warning = ""
    """Warning on a delete that says nothing about dependents."""

    def default(self, obj: ObjectT, /) -> None:
        """Fill in defaults of absent fields."""

    def prepare_create(self, obj: ObjectT, /) -> None:
        """Set what users may not set, before a create. The generic code has set metadata; status is reset here if the kind has one."""

    stamp_author: Callable[[ObjectT, Author], None] | None = None
    """For kinds that keep who made them: `stamp_author(obj, author)`, after `prepare_create`."""

    def prepare_update(self, new: ObjectT, old: ObjectT, /) -> None:
        """Carry over fields that an ordinary update may not change (the status, above all: the generic code has done that already)."""

    def prepare_status_update(self, new: ObjectT, old: ObjectT, /) -> None:
        """Carry over fields that a status update may not change; the generic code has restored spec and most of metadata already."""

    stamp_status: Callable[[ObjectT, ObjectT, datetime], None] | None = None
    """Stamp a status update with its time: `stamp_status(new, old, now)`, after `prepare_status_update`.
    The same of an update of a part of the status."""

    def validate(self, obj: ObjectT, /) -> list[FieldError]:
        """Mistakes in the object itself (metadata is checked by the generic code)."""
        return []

    def validate_create(self, obj: ObjectT, /) -> list[FieldError]:
        """Mistakes that are none in an object that is there already; `validate(obj)` has run."""
        return []

    def validate_update(self, new: ObjectT, old: ObjectT, /) -> list[FieldError]:
        """Changes that are not allowed; `validate(new)` has run already."""
        return []

    def validate_status_update(self, new: ObjectT, old: ObjectT, /) -> list[FieldError]:
        """Mistakes in the status."""
        return []

    def validate_name(self, name: str, /) -> str:
        """Return the mistake in the name, or "" (default: a DNS subdomain)."""
        return dns_subdomain(name)

    def warnings(self, obj: ObjectT, old: ObjectT | None, /) -> list[str]:
        """Sentences for `Warning` headers."""
        return []

    def spec_warnings(self, obj: ObjectT, /) -> list[str]:
        """More of them, about the spec of a new object alone: pods that are alike are asked about once."""
        return []

    def spec_changed(self, new: ObjectT, old: ObjectT, /) -> bool:
        """Return whether metadata.generation must grow; by default when `spec` differs, and never for kinds without one."""
        return getattr(new, "spec", None) != getattr(old, "spec", None)

    def grace_period(self, obj: ObjectT, grace: int | None, /) -> int | None:
        """Seconds between the delete call and the removal, None for kinds that go at once."""
        return None

    def is_held(self, obj: ObjectT, /) -> bool:
        """Return whether an object that is being deleted must stay for now: by finalizers, of whatever sort the kind has."""
        return bool(obj.metadata.finalizers)

    def drop_status(self, obj: ObjectT, /) -> None:
        """Take the status off a new object, for kinds with a status subresource."""
        obj.status = type(obj.status)()  # type: ignore[attr-defined]

    def keep_status(self, new: ObjectT, old: ObjectT, /) -> None:
        """Put the old status back, for kinds with a status subresource."""
        new.status = old.status  # type: ignore[attr-defined]

    def keep_all_but_status(self, new: ObjectT, old: ObjectT, /) -> None:
        """Put everything but the status back, and the metadata that `resets` names."""
        for name in type(new).__struct_fields__:
            if name not in ("apiVersion", "kind", "metadata", "status"):
                setattr(new, name, getattr(old, name))
        for path in self.resets["status"]:
            if path[0] == "metadata":
                for name in path[1:] or _KEPT_METADATA:
                    setattr(new.metadata, name, getattr(old.metadata, name))

    def begin_deletion(self, obj: ObjectT, /) -> None:
        """Mark, beyond its metadata, that an object's deletion has begun."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[ObjectT]):
    """Storage of a kind that is served in several groups or versions: as `kind`, and converted where it is written and read.

    The functions are pure and total: they give a new object, which may share parts with their argument. Metadata goes through unchanged
    but for annotations; apiVersion and kind need not be set. What the stored kind has no field for must be kept somewhere (annotations),
    so that reading what was written gives the same object.
    """

    kind: Kind[Any]
    to_stored: Callable[[ObjectT], Any]
    from_stored: Callable[[Any], ObjectT]


@dataclass(frozen=True, slots=True)
class Kind(Generic[ObjectT]):
    """A kind and all that is known about it."""

    type: type[ObjectT]
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[Subresource, ...] = ()
    rules: Rules[ObjectT] = field(default_factory=Rules)
    columns: tuple[Column, ...] = ()
    selectable: Mapping[str, Callable[[ObjectT], str]] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace: path to value."""
    ttl: Callable[[ObjectT], float | None] = lambda _: None
    """Seconds after which the store forgets an object (Events), or None."""
    stored: Stored[ObjectT] | None = None
    """The other kind as which objects are kept, for a group or version that is served over the storage of another one."""
    deprecated: str = ""
    """Warning for every client that asks for the kind."""
    unattended: bool = False
    """True if objects are served and kept, but no part of the cluster acts on them yet: creating one gives a warning."""
    question: bool = False
    """True if a create is answered with its status, and nothing is stored: reviews."""
    shown_when_deleted: bool = False
    """True if the DELETE that removes an object answers with the object, and not with a Status of success."""
    takes_addresses: bool = False
    """True if objects get addresses and ports of the cluster's when they are stored, and give them back when they are removed."""
    from_templates: bool = False
    """True if objects come by the hundred from one template, so that what is alike in them is computed once. The rules `validate` and
    `spec_warnings` of such a kind read nothing but the spec."""
    singular: str = ""
    """The name of one; the kind in lower case unless said otherwise."""
    list_kind: str = ""
    """The kind of lists; `PodList` for pods unless said otherwise."""
    kind: str = ""
    """The kind's name; the type's unless said otherwise (types that hold a part of an object)."""
    # Read on every request, so they are computed once.
    api_version: str = field(init=False)
    resource: str = field(init=False)
    """`pods` or `deployments.apps`."""
    ident: str = field(init=False)
    """Identity of a served kind: `v1/pods`, `apps/v1/deployments`."""
    has_status: bool = field(init=False)

    def __post_init__(self) -> None:
        name = self.kind or self.type.__name__
        api_version = GroupVersionKind(self.group, self.version, name).api_version
        for attribute, value in (
            ("kind", name),
            ("api_version", api_version),
            ("ident", f"{api_version}/{self.plural}"),
            ("resource", f"{self.plural}.{self.group}" if self.group else self.plural),
            ("has_status", any(sub.name == "status" for sub in self.subresources)),
            ("singular", self.singular or name.lower()),
            ("list_kind", self.list_kind or f"{name}List"),
        ):
            object.__setattr__(self, attribute, value)

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def hub(self) -> Kind[Any]:
        """The kind as which objects are kept: this one, unless it says otherwise."""
        return self if self.stored is None else self.stored.kind

    @property
    def root_path(self) -> str:
        """`/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, an object or a subresource."""
        parts = [self.root_path]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


def question(type_: type[ObjectT], plural: str, group: str, *, namespaced: bool = False) -> Kind[ObjectT]:
    """Return a kind whose objects are only created, answered with what their status says, and never stored."""
    return Kind(type=type_, plural=plural, group=group, namespaced=namespaced, verbs=("create",), question=True)


class Scheme:
    """Kinds by type, by group-version-kind and by group-version-resource. Look-ups are dictionary reads.

    Built-in kinds are registered at import. A server that lets kinds come and go has a scheme of its own; `changes` tells those who made
    something of all kinds when to make it again.
    """

    def __init__(self, kinds: Iterable[Kind[Any]] = ()) -> None:
        self.changes = 0
        """Grows whenever a kind is added or removed."""
        self._followers: list[Callable[[], None]] = []
        self._by_type: dict[type, Kind[Any]] = {}
        self._by_gvk: dict[GroupVersionKind, Kind[Any]] = {}
        self._by_resource: dict[tuple[str, str, str], Kind[Any]] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind[Any]) -> None:
        """Register a kind; a second one with the same type or resource is a programming error (ValueError)."""
        key = (kind.group, kind.version, kind.plural)
        if key in self._by_resource or kind.type in self._by_type:
            raise ValueError(f"{kind.resource} is registered twice")
        self._by_type[kind.type] = self._by_gvk[kind.gvk] = self._by_resource[key] = kind
        self._changed()

    def remove(self, kind: Kind[Any]) -> None:
        """Forget a kind; raises KeyError when it is not registered."""
        if self._by_resource[kind.group, kind.version, kind.plural] is not kind:
            raise KeyError(kind.ident)
        del self._by_resource[kind.group, kind.version, kind.plural], self._by_gvk[kind.gvk], self._by_type[kind.type]
        self._changed()

    def _changed(self) -> None:
        self.changes += 1
        for heard in self._followers:
            heard()

    @contextmanager
    def followed(self, heard: Callable[[], None]) -> Iterator[None]:
        """Call `heard()` whenever a kind is added or removed, as long as the context lasts."""
        self._followers.append(heard)
        try:
            yield
        finally:
            self._followers.remove(heard)

    def __iter__(self) -> Iterator[Kind[Any]]:
        return iter(tuple(self._by_resource.values()))

    def of(self, type_: type[ObjectT]) -> Kind[ObjectT]:
        """The kind of a type; raises KeyError."""
        return self._by_type[type_]

    def by_gvk(self, api_version: str, kind: str) -> Kind[Any] | None:
        """The kind that an object's apiVersion and kind name."""
        group, _, version = api_version.rpartition("/")
        return self._by_gvk.get(GroupVersionKind(group, version, kind))

    def by_resource(self, group: str, version: str, plural: str) -> Kind[Any] | None:
        """The kind behind a URL path."""
        return self._by_resource.get((group, version, plural))

    def in_version(self, kind: Kind[Any], api_version: str) -> Kind[Any] | None:
        """The same objects in another group or version; None when they are not served in that."""
        if api_version == kind.api_version:
            return kind
        other = self.by_gvk(api_version, kind.kind)
        return other if other is not None and other.hub is kind.hub else None


def converted(obj: KubeObject, kind: Kind[Any], other: Kind[Any]) -> Any:
    """An object of `kind` as one of `other`, which has the same storage: a new object that may share parts, or the same one."""
    if kind is other:
        return obj
    hub = obj if kind.stored is None else kind.stored.to_stored(obj)
    result = hub if other.stored is None else other.stored.from_stored(hub)
    result.apiVersion, result.kind = other.api_version, other.kind
    return result
