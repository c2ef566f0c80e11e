"""The rules of a kind that is kept as another one: those of the stored kind, seen through the conversion."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Author, Part, Rules, Stored
from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)

FACTS = tuple(name for name, value in vars(Rules).items() if not name.startswith("_") and value is not None and not callable(value))
"""Attributes of rules that do not depend on an object."""


class Through(Rules[ObjectT], Generic[ObjectT]):
    """Rules of a kind stored as another one: all is set and refused on the stored form, so that nothing depends on a client's version.

    Names of refused fields are those of the stored kind, as upstream's are those of its internal one. A subclass may fill in
    its own version's defaults in `default_here`; what the conversion adds or drops happens then and there.
    """

    def __init__(self, stored: Stored[ObjectT]) -> None:
        self._to = stored.to_stored
        self._from = stored.from_stored
        self._kind = stored.kind
        self._rules = stored.kind.rules
        for fact in FACTS:
            setattr(self, fact, getattr(self._rules, fact))
        self.parts = {name: self._part(part) for name, part in self._rules.parts.items()}
        if self._rules.stamp_author is not None:
            self.stamp_author = self._stamp_author
        if self._rules.stamp_status is not None:
            self.stamp_status = self._stamp_status

    def _take(self, obj: ObjectT, stored: Any) -> None:
        """Copy the stored object's content into the object."""
        shown = self._from(stored)
        for name in obj.__struct_fields__:
            if name not in ("apiVersion", "kind"):
                setattr(obj, name, getattr(shown, name))

    def _part(self, part: Part[Any]) -> Part[ObjectT]:
        """A subresource that changes a part of the stored form."""

        def keep(new: ObjectT, old: ObjectT) -> None:
            stored = self._to(new)
            part.keep(stored, self._to(old))
            self._take(new, stored)

        return replace(part, keep=keep, validate=lambda new, old: part.validate(self._to(new), self._to(old)))

    def _stamp_author(self, obj: ObjectT, author: Author) -> None:
        stored = self._to(obj)
        assert self._rules.stamp_author is not None
        self._rules.stamp_author(stored, author)
        self._take(obj, stored)

    def _stamp_status(self, new: ObjectT, old: ObjectT, now: datetime) -> None:
        stored = self._to(new)
        assert self._rules.stamp_status is not None
        self._rules.stamp_status(stored, self._to(old), now)
        self._take(new, stored)

    def default_here(self, obj: ObjectT) -> None:
        """Fill in the defaults of this version."""

    def default(self, obj: ObjectT) -> None:
        self.default_here(obj)
        self._take(obj, self._to(obj))

    def prepare_create(self, obj: ObjectT) -> None:
        stored = self._to(obj)
        if self._kind.has_status and not self.status_wins_on_create:
            self._rules.drop_status(stored)
        self._rules.prepare_create(stored)
        self._take(obj, stored)

    def prepare_update(self, new: ObjectT, old: ObjectT) -> None:
        stored, before = self._to(new), self._to(old)
        if self._kind.has_status:
            self._rules.keep_status(stored, before)
        self._rules.prepare_update(stored, before)
        self._take(new, stored)

    def prepare_status_update(self, new: ObjectT, old: ObjectT) -> None:
        stored, before = self._to(new), self._to(old)
        self._rules.keep_all_but_status(stored, before)
        self._rules.prepare_status_update(stored, before)
        self._take(new, stored)

    def validate(self, obj: ObjectT) -> list[FieldError]:
        return self._rules.validate(self._to(obj))

    def validate_create(self, obj: ObjectT) -> list[FieldError]:
        return self._rules.validate_create(self._to(obj))

    def validate_update(self, new: ObjectT, old: ObjectT) -> list[FieldError]:
        return self._rules.validate_update(self._to(new), self._to(old))

    def validate_status_update(self, new: ObjectT, old: ObjectT) -> list[FieldError]:
        return self._rules.validate_status_update(self._to(new), self._to(old))

    def validate_name(self, name: str) -> str:
        return self._rules.validate_name(name)

    def warnings(self, obj: ObjectT, old: ObjectT | None) -> list[str]:
        return self._rules.warnings(self._to(obj), None if old is None else self._to(old))

    def spec_warnings(self, obj: ObjectT) -> list[str]:
        return self._rules.spec_warnings(self._to(obj))

    def spec_changed(self, new: ObjectT, old: ObjectT) -> bool:
        return self._rules.spec_changed(self._to(new), self._to(old))

    def grace_period(self, obj: ObjectT, grace: int | None) -> int | None:
        return self._rules.grace_period(self._to(obj), grace)

    def is_held(self, obj: ObjectT) -> bool:
        return self._rules.is_held(self._to(obj))

    def begin_deletion(self, obj: ObjectT) -> None:
        stored = self._to(obj)
        self._rules.begin_deletion(stored)
        self._take(obj, stored)
