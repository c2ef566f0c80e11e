"""API services: mistakes, what the server writes itself, and tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tiphys.api.apiregistration.v1 import APIService
from tiphys.api.helpers.api_services import MANAGED, available, local_service
from tiphys.api.kinds import SCHEME
from tiphys.apiserver.api_services import due

KIND = SCHEME.of(APIService)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL: dict[str, Any] = {"group": "a.b", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15}
REMOTE: dict[str, Any] = {**LOCAL, "service": {"namespace": "a", "name": "b"}}


def made(name: str = "v1.a.b", **spec: Any) -> APIService:
    obj = msgspec.convert({"metadata": {"name": name}, "spec": spec}, APIService)
    KIND.rules.default(obj)
    return obj


def errors(name: str = "v1.a.b", **spec: Any) -> list[str]:
    return [str(error) for error in KIND.rules.validate(made(name, **spec))]


def test_accepts_valid_ones() -> None:
    assert errors(**LOCAL) == errors(**REMOTE) == errors("v1.", **{**LOCAL, "group": ""}) == []
    service = made(**REMOTE).spec.service
    assert service is not None
    assert service.port == 443


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("a", LOCAL, 'metadata.name: Invalid value: "a": must be `spec.version+"."+spec.group`: "v1.a.b"'),
        ("v2.", {**LOCAL, "group": "", "version": "v2"}, "spec.group: Required value: only v1 may have an empty group"),
        ("v1.A", {**LOCAL, "group": "A"}, 'spec.group: Invalid value: "A"'),
        ("1.a.b", {**LOCAL, "version": "1"}, 'spec.version: Invalid value: "1"'),
        (
            "v1.a.b",
            {**LOCAL, "groupPriorityMinimum": 20001},
            "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
        ),
        ("v1.a.b", {**LOCAL, "versionPriority": 0}, "spec.versionPriority: Invalid value: 0: must be positive and less than 1000"),
        ("v1.a.b", {**LOCAL, "caBundle": "YWI="}, 'spec.caBundle: Invalid value: "2 bytes": local APIServices may not have a caBundle'),
        ("v1.a.b", {**LOCAL, "insecureSkipTLSVerify": True}, "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not"),
        ("v1.a.b", {**LOCAL, "service": {"namespace": "a"}}, "spec.service.name: Required value"),
        (
            "v1.a.b",
            {**LOCAL, "service": {"namespace": "a", "name": "b", "port": 0}},
            "spec.service.port: Invalid value: 0: port is not valid",
        ),
        (
            "v1.a.b",
            {**REMOTE, "caBundle": "YWI=", "insecureSkipTLSVerify": True},
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ),
    ],
)
def test_rejects_invalid_fields(name: str, spec: dict[str, Any], said: str) -> None:
    assert errors(name, **spec)[0].startswith(said)


def test_one_for_every_group_version() -> None:
    writes = list(due(SCHEME, {}, NOW))
    assert {method for method, _, _ in writes} == {"POST"}
    services = {service.metadata.name: service for _, service, _ in writes}
    assert services["v1."].spec.groupPriorityMinimum == 18000
    assert services["v1.apps"].metadata.labels == {MANAGED: "onstart"}
    assert "v1.apiregistration.k8s.io" not in services
    for service in services.values():
        assert KIND.rules.validate(service) == []
        # Built-in groups have their own priorities: none may be forgotten. Names such as `pods` mean metrics last of all.
        least = 0 if service.spec.group == "metrics.k8s.io" else 1000
        assert service.spec.groupPriorityMinimum > least, service.metadata.name


def test_local_services_are_kept_up_to_date() -> None:
    existing = {service.metadata.name: service for _, service, _ in due(SCHEME, {}, NOW)}
    for service in existing.values():
        service.status.conditions = [available(service, NOW)]
    assert list(due(SCHEME, existing, NOW)) == []
    existing["v1.apps"].spec.versionPriority = 1
    gone, mine = local_service("gone.example.com", "v1"), made("v1.c.d", **{**REMOTE, "group": "c.d"})
    gone.status.conditions = [available(gone, NOW)]
    writes = [
        (method, obj.metadata.name, sub) for method, obj, sub in due(SCHEME, {**existing, "v1.gone.example.com": gone, "v1.c.d": mine}, NOW)
    ]
    assert writes == [("PUT", "v1.apps", ""), ("DELETE", "v1.gone.example.com", ""), ("PUT", "v1.c.d", "status")]


def test_tables() -> None:
    local, remote = local_service("apps", "v1"), made(**REMOTE)
    assert [column.cell(local, NOW) for column in KIND.columns] == ["v1.apps", "Local", "Unknown", "<unknown>"]
    local.status.conditions, remote.status.conditions = [available(local, NOW)], [available(remote, NOW)]
    assert [column.cell(local, NOW) for column in KIND.columns][1:3] == ["Local", "True"]
    assert [column.cell(remote, NOW) for column in KIND.columns][1:3] == ["a/b", "False (AggregationUnsupported)"]
