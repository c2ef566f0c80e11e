"""Declaration of a control loop: the one place from which caches, names, wiring and tests are derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.client.partial import PartialObject, partial_kind
from tiphys.runtime.informer import Informer, InformerFactory, without_managed_fields
from tiphys.settings.loop import LoopSettings

T = TypeVar("T", bound=KubeObject)

Resource = tuple[str, str]
"""Group and plural."""


class UndeclaredRead(LookupError):
    """Error of a loop that asks in `setup` for a cache which its declaration does not name."""


@dataclass(frozen=True, slots=True)
class Whole(Generic[T]):
    """Objects of a type with all their fields (but for managedFields): every one of them, or a selection."""

    type_: type[T]
    namespace: str = ""
    labels: str = ""
    fields: str = ""

    @property
    def is_selection(self) -> bool:
        """True if some objects of the kind are left out."""
        return bool(self.namespace or self.labels or self.fields)

    def kind(self, scheme: Scheme) -> Kind[T]:
        """Return the kind to read by; KeyError when it is not in the scheme."""
        return scheme.of(self.type_)

    def informer(self, informers: InformerFactory, scheme: Scheme) -> Informer[T]:
        """Return the shared informer."""
        return informers.of(self.kind(scheme), namespace=self.namespace, labels=self.labels, fields=self.fields)


@dataclass(frozen=True, slots=True)
class Slim(Generic[T]):
    """Objects of the kind of `of`, all or a selection, decoded into a type that has only the fields which some loop reads.

    `compact` may drop more from each object before it is kept; it may change its argument.
    """

    type_: type[T]
    of: type[KubeObject]
    compact: Callable[[T], T] = without_managed_fields
    fields: str = ""

    @property
    def is_selection(self) -> bool:
        """True if some objects of the kind are left out."""
        return bool(self.fields)

    def kind(self, scheme: Scheme) -> Kind[T]:
        """Return the kind to read by; KeyError when it is not in the scheme."""
        whole = scheme.of(self.of)
        return Kind(
            type=self.type_, plural=whole.plural, group=whole.group, version=whole.version, namespaced=whole.namespaced, kind=whole.kind
        )

    def informer(self, informers: InformerFactory, scheme: Scheme) -> Informer[T]:
        """Return the shared informer."""
        return informers.of(self.kind(scheme), fields=self.fields, transform=self.compact)


Read = Whole[Any] | Slim[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Name, rights, caches and settings of a control loop."""

    name: str
    kind: type[KubeObject] | None = None
    """Kind that it reconciles; None for a loop that looks after objects of all kinds."""
    guards: bool = False
    """True if it only keeps objects from being removed too early, so that nothing acts on their spec."""
    roles: tuple[str, ...] = ()
    """Roles it acts under: the names that upstream's controllers have in `system:controller:NAME`."""
    reads: tuple[Read, ...] = ()
    """Caches that it takes with `ControllerContext.read`."""
    follows_any: bool = False
    """True if it may follow kinds that it discovers at run time (`ControllerContext.follow`)."""
    component: str = ""
    """Name that its events come from, by default made of `name`."""
    settings: type[LoopSettings] | None = None
    """Type of the one argument of its constructor; None when there is none."""

    def __post_init__(self) -> None:
        types = [read.type_ for read in self.reads]
        if len(set(types)) != len(types):
            raise ValueError(f"{self.name} reads a type twice: a cache is taken by its type")


def metadata_of(kind: Kind[Any]) -> Kind[PartialObject]:
    """Return the kind by which only the metadata of a kind's objects is read."""
    return partial_kind(kind.group, kind.version, kind.plural, namespaced=kind.namespaced)


def owners_only(obj: PartialObject) -> PartialObject:
    """Return an object reduced to what decides its fate: identity, owners, finalizers and deletion."""
    return PartialObject(apiVersion=obj.apiVersion, kind=obj.kind, metadata=fate_of(obj.metadata))


def fate_of(meta: ObjectMeta) -> ObjectMeta:
    """Return the part of the metadata that decides the fate of an object."""
    return ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resourceVersion=meta.resourceVersion,
        deletionTimestamp=meta.deletionTimestamp,
        ownerReferences=meta.ownerReferences,
        finalizers=meta.finalizers,
    )


class SharedCaches:
    """Caches of whole collections that the loops of a manager declare, by resource; loops that follow any kind use them too."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._reads: dict[Resource, Read] = {}

    def note(self, declaration: Declaration) -> None:
        """Add what a loop reads. Raises ValueError when a collection would be kept twice, in two forms."""
        for read in declaration.reads:
            if read.is_selection:
                continue
            kind = read.kind(self._scheme)
            if self._reads.setdefault((kind.group, kind.plural), read) != read:
                raise ValueError(f"{declaration.name} keeps {kind.resource} in a different form from the other loops")

    def informer(self, informers: InformerFactory, kind: Kind[Any]) -> Informer[Any]:
        """Return the informer of a kind: a declared one, or else one of metadata alone."""
        read = self._reads.get((kind.group, kind.plural))
        if read is not None:
            return read.informer(informers, self._scheme)
        return informers.of(metadata_of(kind), transform=owners_only)
