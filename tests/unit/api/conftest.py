"""Objects from YAML, and what the server's rules make of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.rules import meta


class Server:
    """The pure part of a create and an update."""

    def load(self, text: str) -> Any:
        """The object that a manifest describes, in the namespace `default` if it says nothing else."""
        document = yaml.safe_load(text)
        kind = SCHEME.by_gvk(document["apiVersion"], document["kind"])
        assert kind is not None
        obj = msgspec.convert(document, kind.type)
        if kind.namespaced and not obj.metadata.namespace:
            obj.metadata.namespace = "default"
        return obj

    def create(self, text: str) -> Any:
        """The object with defaults; fails if anything is wrong with it."""
        obj = self.prepared(text)
        assert self.errors_of(obj) == []
        return obj

    def prepared(self, text: str) -> Any:
        obj = self.load(text)
        kind = SCHEME.of(type(obj))
        canonicalize(obj)
        kind.rules.default(obj)
        kind.rules.prepare_create(obj)
        return obj

    def errors_of(self, obj: Any) -> list[str]:
        kind = SCHEME.of(type(obj))
        found = meta.validate(obj.metadata, namespaced=kind.namespaced, name_rule=kind.rules.validate_name)
        return [str(error) for error in (*found, *kind.rules.validate(obj), *kind.rules.validate_create(obj))]

    def warnings(self, text: str) -> list[str]:
        """Return the warnings for whoever creates the object."""
        obj = self.prepared(text)
        return SCHEME.of(type(obj)).rules.warnings(obj, None)

    def errors(self, text: str) -> list[str]:
        """Return the mistakes in a manifest."""
        return self.errors_of(self.prepared(text))

    def rejects(self, text: str, part: str) -> None:
        """Fail the test unless this is a part of one of the mistakes in a manifest."""
        errors = self.errors(text)
        assert any(part in error for error in errors), errors

    def update(self, old: Any, **changes: Any) -> tuple[Any, list[str]]:
        """`old` with values set at dotted paths (`spec__replicas=3`), and what is wrong with that."""
        kind = SCHEME.of(type(old))
        new = msgspec.convert(msgspec.to_builtins(old), type(old))
        for path, value in changes.items():
            *way, last = path.split("__")
            target = new
            for step in way:
                target = target[int(step)] if step.isdigit() else getattr(target, step)
            setattr(target, last, value)
        canonicalize(new)
        kind.rules.default(new)
        kind.rules.prepare_update(new, old)
        whole = [] if kind.rules.ratchets else kind.rules.validate(new)
        found = [*meta.validate_update(new.metadata, old.metadata), *whole, *kind.rules.validate_update(new, old)]
        return new, [str(error) for error in found]


@pytest.fixture
def server() -> Server:
    return Server()
