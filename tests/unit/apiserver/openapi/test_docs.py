"""Every type and every field of the wire says what it means: `kubectl explain` shows these words."""

from __future__ import annotations

from tests.unit.apiserver.openapi.facts import types
from tiphys.api.machinery.docs import docs_of
from tiphys.api.machinery.introspect import describe

SHORTEST = 4


def test_every_type_and_field_is_explained() -> None:
    silent = []
    for name, type_ in sorted(types().items()):
        docs = docs_of(type_)
        if len(docs.text) < SHORTEST:
            silent.append(name)
        silent += [f"{name}.{field.name}" for field in describe(type_).fields.values() if len(docs.fields.get(field.attr, "")) < SHORTEST]
    assert not silent, "\n" + "\n".join(silent)
