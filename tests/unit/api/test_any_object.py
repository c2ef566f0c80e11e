"""Rules of every kind answer any object with a verdict, never with an exception."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.api.machinery.protobuf.filling import fill
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import codec
from tiphys.api.machinery.errors import FieldError, StatusError
from tiphys.api.machinery.quantity import QuantityError, canonicalize
from tiphys.api.machinery.scheme import Kind
from tiphys.api.rules import meta

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 40
TEXTS = (
    "", "a", "web-0", "A_b", "x" * 300, "a/b", "/", "../..", "a/b/c", "example.com/name", "1.2.3.4", "::1", "10.0.0.0/8", "::/129", "1",
    "-1", "0", "25%", "101%", "-5%", "%", "9" * 40, "1e400", "1Ei", "500m", "0x1f", "NaN", "*", "*.example.com", "*/5 * * * *",
    "0 0 31 2 *", "@every", "TZ=UTC * * * * *", "TCP", "Always", "Never", "In", "NotIn", "Exists", "Gt", "Equal", "NoSchedule",
    "NoExecute", "RollingUpdate", "Recreate", "OnDelete", "ClusterIP", "NodePort", "ExternalName", "None", "IPv4", "IPv6", "DualStack",
    "Pods", "Resource", "Utilization", "Secret", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "system:masters",
    "ServiceAccount", "Group", "User", "http://[", "https://a:b/", "Zm9v", "{}", "[]", "\x00", "\u202e", "é", "☸",
    "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "spec.nodeName", "metadata.labels['a']", "limits.cpu", "$(A)", "self.x > 1",
    "a=b,c", "!", "integer", "object", "int-or-string", "string", "array",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 80, 65535, 65536, 30000, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**64, 10**30, 0.5, 1e308)
CASES = [pytest.param(kind, id=f"{kind.resource}-{kind.version}") for kind in SCHEME]


def spoil(value: Any, rng: random.Random, rate: float) -> Any:
    """A document with some of its leaves replaced, and now and then a branch."""
    if isinstance(value, dict):
        return {key: spoil(item, rng, rate) for key, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, rng, rate) for item in value] * (2 if rng.random() < 0.1 else 1)
    if rng.random() > rate:
        return value
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rng.choice(NUMBERS)
    return value


def objects(kind: Kind[Any], rng: random.Random) -> list[Any]:
    """Objects of a kind as a client might send them, those that cannot be read left out."""
    made = []
    for round_ in range(ROUNDS):
        filled = fill(kind.type, rng, density=rng.choice((0.2, 0.5, 0.9)), depth=5)
        document = spoil(msgspec.json.decode(msgspec.json.encode(filled)), rng, (0.3, 0.9)[round_ % 2])
        document["apiVersion"], document["kind"] = kind.api_version, kind.kind
        try:
            made.append(codec.decode(kind.type, msgspec.json.encode(document)).obj)
        except StatusError:
            continue
    return made


@pytest.mark.parametrize("kind", CASES)
def test_rules_and_tables_take_any_object(kind: Kind[Any]) -> None:
    rng = random.Random(kind.resource)
    rules, before = kind.rules, None
    found = objects(kind, rng)
    assert found
    for obj in found:
        try:
            canonicalize(obj)
            rules.default(obj)
            rules.validate(obj)
        except QuantityError:  # A text that is no number ends the request with BadRequest, wherever it is read first.
            continue
        rules.prepare_create(obj)
        told(meta.validate(obj.metadata, namespaced=kind.namespaced, name_rule=rules.validate_name))
        told(rules.validate(obj))
        told(rules.validate_create(obj))
        assert all(isinstance(text, str) for text in rules.warnings(obj, before))
        for column in kind.columns:
            column.cell(obj, NOW)
        for read in kind.selectable.values():
            assert isinstance(read(obj), str)
        rules.grace_period(obj, None)
        rules.is_held(obj)
        kind.ttl(obj)
        if before is not None:
            changed = codec.decode_fast(kind.type, msgspec.json.encode(obj))
            rules.prepare_update(changed, before)
            rules.spec_changed(changed, before)
            told(rules.validate_update(changed, before))
            if kind.has_status:
                rules.prepare_status_update(changed, before)
                told(rules.validate_status_update(changed, before))
        rules.begin_deletion(codec.decode_fast(kind.type, msgspec.json.encode(obj)))
        before = obj


def told(errors: list[FieldError]) -> None:
    """Mistakes that can be shown to the client."""
    for error in errors:
        assert isinstance(error, FieldError)
        assert str(error)
