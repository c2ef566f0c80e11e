"""Device classes, claims, templates and slices: defaults, mistakes and tables."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.resource import v1 as resource

EXACT: dict[str, Any] = {"deviceClassName": "gpu.example.com"}
REQUEST: dict[str, Any] = {"name": "gpu", "exactly": EXACT}
EITHER: dict[str, Any] = {"name": "gpu", "firstAvailable": [{"name": "big", **EXACT}, {"name": "small", **EXACT}]}
OPAQUE: dict[str, Any] = {"opaque": {"driver": "example.com", "parameters": {"a": 1}}}
RESULT: dict[str, Any] = {"request": "gpu", "driver": "example.com", "pool": "p", "device": "d"}
DEVICE: dict[str, Any] = {"name": "gpu-0", "attributes": {"model": {"string": "a"}}, "capacity": {"memory": {"value": "1Gi"}}}
SLICE: dict[str, Any] = {
    "driver": "example.com",
    "pool": {"name": "node-a", "generation": 1, "resourceSliceCount": 1},
    "nodeName": "node-a",
    "devices": [DEVICE],
}


def made(type_: type[Any], spec: dict[str, Any], **more: Any) -> Any:
    obj = msgspec.convert({"metadata": {"name": "mine", "namespace": "a"}, "spec": copy.deepcopy(spec), **more}, type_)
    SCHEME.of(type_).rules.default(obj)
    return obj


def errors_of(type_: type[Any], spec: dict[str, Any]) -> list[str]:
    return [str(error) for error in SCHEME.of(type_).rules.validate(made(type_, spec))]


def claim_errors(**devices: Any) -> list[str]:
    spec = {"devices": {"requests": [REQUEST], **devices}}
    return [error.removeprefix("spec.devices.") for error in errors_of(resource.ResourceClaim, spec)]


def exact_errors(**fields: Any) -> list[str]:
    found = claim_errors(requests=[{"name": "gpu", "exactly": {**EXACT, **fields}}])
    return [error.removeprefix("requests[0].exactly.") for error in found]


def slice_errors(**fields: Any) -> list[str]:
    spec = {key: value for key, value in {**SLICE, **fields}.items() if value is not None}
    return [error.removeprefix("spec.") for error in errors_of(resource.ResourceSlice, spec)]


def device_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("devices[0].") for error in slice_errors(devices=[{**DEVICE, **fields}])]


def policy_errors(value: str = "10", **policy: Any) -> list[str]:
    found = device_errors(allowMultipleAllocations=True, capacity={"memory": {"value": value, "requestPolicy": policy}})
    return [error.removeprefix("capacity[memory].requestPolicy") for error in found]


def test_defaults_and_sound_ones() -> None:
    claim = made(
        resource.ResourceClaim, {"devices": {"requests": [REQUEST, {"name": "b", **{k: v for k, v in EITHER.items() if k != "name"}}]}}
    )
    assert (claim.spec.devices.requests[0].exactly.allocationMode, claim.spec.devices.requests[0].exactly.count) == ("ExactCount", 1)
    assert claim.spec.devices.requests[1].firstAvailable[1].count == 1
    assert SCHEME.of(resource.ResourceClaim).rules.validate(claim) == []
    assert (
        claim_errors(config=[{**OPAQUE, "requests": ["gpu"]}], constraints=[{"requests": ["gpu"], "matchAttribute": "example.com/model"}])
        == []
    )
    assert exact_errors(allocationMode="All", tolerations=[{"key": "a", "operator": "Exists"}]) == []
    assert slice_errors() == []
    assert (
        errors_of(
            resource.DeviceClass,
            {"selectors": [{"cel": {"expression": "true"}}], "config": [OPAQUE], "extendedResourceName": "example.com/gpu"},
        )
        == []
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {"requests": [REQUEST]}}}
    assert errors_of(resource.ResourceClaimTemplate, template) == []
    assert made(resource.ResourceClaimTemplate, template).spec.spec.devices.requests[0].exactly.count == 1


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ({"requests": [{**REQUEST, "name": "GPU"}]}, 'requests[0].name: Invalid value: "GPU": a lowercase RFC 1123 label'),
        ({"requests": [REQUEST, REQUEST]}, 'requests[1]: Duplicate value: "gpu"'),
        ({"requests": [{**REQUEST, "name": f"a{n}"} for n in range(33)]}, "requests: Too many: 33: must have at most 32 items"),
        ({"requests": [{"name": "a"}]}, "requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"),
        (
            {"requests": [{**REQUEST, **EITHER}]},
            "requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple",
        ),
        ({"requests": [{"name": "a", "firstAvailable": [{"name": "b"}]}]}, "requests[0].firstAvailable[0].deviceClassName: Required value"),
        (
            {"constraints": [{"requests": ["other"], "matchAttribute": "a.b/c"}]},
            'constraints[0].requests[0]: Invalid value: "other": must be the name of a request',
        ),
        (
            {"constraints": [{"requests": ["gpu/big"], "matchAttribute": "a.b/c"}]},
            'constraints[0].requests[0]: Invalid value: "gpu/big": must be the name',
        ),
        (
            {"constraints": [{"matchAttribute": "model"}]},
            'constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name',
        ),
        ({"constraints": [{}]}, 'constraints[0]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required'),
        ({"config": [{}]}, "config[0].opaque: Required value"),
        (
            {"config": [{"opaque": {"driver": "a", "parameters": [1]}}]},
            'config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
        ),
        (
            {"config": [{"opaque": {"driver": "a", "parameters": {"a": "b" * 10240}}}]},
            "config[0].opaque.parameters: Too long: may not be more than 10240 bytes",
        ),
        ({"config": [{"opaque": {"driver": "", "parameters": {}}}]}, "config[0].opaque.driver: Required value"),
    ],
)
def test_rejects_invalid_claims(devices: dict[str, Any], said: str) -> None:
    assert claim_errors(**devices)[0].startswith(said)


def test_references_to_alternatives() -> None:
    assert claim_errors(requests=[EITHER], config=[{**OPAQUE, "requests": ["gpu/big", "gpu"]}]) == []
    assert claim_errors(requests=[EITHER], config=[{**OPAQUE, "requests": ["gpu/a/b"]}])[0].endswith("separated by '/'")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"deviceClassName": ""}, "deviceClassName: Required value"),
        ({"count": -1}, "count: Invalid value: -1: must be greater than zero"),
        ({"allocationMode": "All", "count": 1}, "count: Invalid value: 1: must not be specified when allocationMode is 'All'"),
        ({"allocationMode": "Some"}, 'allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"'),
        ({"selectors": [{}]}, "selectors[0].cel: Required value"),
        ({"selectors": [{"cel": {"expression": "a" * 10241}}]}, "selectors[0].cel.expression: Too long: may not be more than 10240 bytes"),
        (
            {"tolerations": [{"operator": "Exists", "value": "a"}]},
            'tolerations[0].value: Invalid value: "a": must be empty for operator `Exists`',
        ),
        ({"tolerations": [{"operator": ""}]}, "tolerations[0].operator: Required value"),
        (
            {"tolerations": [{"operator": "Near"}]},
            'tolerations[0].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
        ),
        (
            {"tolerations": [{"operator": "Exists", "effect": "Cry"}]},
            'tolerations[0].effect: Unsupported value: "Cry": supported values: "NoExecute", "NoSchedule", "None"',
        ),
    ],
)
def test_rejects_invalid_requests(fields: dict[str, Any], said: str) -> None:
    assert exact_errors(**fields)[0] == said


def test_specs_never_change() -> None:
    rules = SCHEME.of(resource.ResourceClaim).rules
    old = made(resource.ResourceClaim, {"devices": {"requests": [REQUEST]}})
    new = made(resource.ResourceClaim, {"devices": {"requests": [EITHER]}})
    assert str(rules.validate_update(new, old)[0]).endswith("field is immutable")
    assert rules.validate_update(old, old) == []
    slice_rules = SCHEME.of(resource.ResourceSlice).rules
    before, after = made(resource.ResourceSlice, SLICE), made(resource.ResourceSlice, {**SLICE, "driver": "b", "nodeName": "b"})
    assert [error.field for error in slice_rules.validate_update(after, before)] == ["spec.driver", "spec.nodeName"]


def status_errors(status: dict[str, Any], old: dict[str, Any] | None = None, *, deleted: bool = False) -> list[str]:
    spec = {"devices": {"requests": [REQUEST]}}
    new, before = made(resource.ResourceClaim, spec, status=status), made(resource.ResourceClaim, spec, status=old or {})
    if deleted:
        new.metadata.deletionTimestamp = datetime(2026, 1, 1, tzinfo=UTC)
    found = SCHEME.of(resource.ResourceClaim).rules.validate_status_update(new, before)
    return [str(error).removeprefix("status.") for error in found]


ALLOCATION: dict[str, Any] = {"devices": {"results": [RESULT]}}
CONSUMER = {"resource": "pods", "name": "a", "uid": "1"}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"reservedFor": [CONSUMER]}, "reservedFor: Forbidden: may not be specified when `allocated` is not set"),
        ({"allocation": ALLOCATION, "reservedFor": [{"name": "a"}]}, "reservedFor[0].resource: Required value"),
        ({"allocation": ALLOCATION, "reservedFor": [CONSUMER, CONSUMER]}, 'reservedFor[1]: Duplicate value: "1"'),
        (
            {"allocation": {"devices": {"results": [{**RESULT, "request": "b"}]}}},
            'allocation.devices.results[0].request: Invalid value: "b": must be the name',
        ),
        ({"allocation": {"devices": {"results": [{**RESULT, "pool": ""}]}}}, "allocation.devices.results[0].pool: Required value"),
        ({"allocation": {"devices": {"results": [{**RESULT, "pool": "a/B"}]}}}, 'allocation.devices.results[0].pool: Invalid value: "B"'),
        (
            {"allocation": {"devices": {"results": [{**RESULT, "shareID": "1"}]}}},
            'allocation.devices.results[0].shareID: Invalid value: "1": uid must be in RFC 4122',
        ),
        (
            {"allocation": {"devices": {"results": [{**RESULT, "bindingConditions": ["a"]}]}}},
            "allocation.devices.results[0].bindingFailureConditions: Invalid value: null:",
        ),
        (
            {"allocation": {"devices": {"config": [{"source": "FromSky", **OPAQUE}]}}},
            'allocation.devices.config[0].source: Unsupported value: "FromSky"',
        ),
        (
            {"devices": [{"driver": "example.com", "pool": "p", "device": "d"}]},
            'devices[0]: Invalid value: "example.com/p/d": must be an allocated device in the claim',
        ),
        (
            {
                "allocation": ALLOCATION,
                "devices": [{"driver": "example.com", "pool": "p", "device": "d", "networkData": {"ips": ["10.0.0.1"]}}],
            },
            'devices[0].networkData.ips[0]: Invalid value: "10.0.0.1": must be a valid address in CIDR form',
        ),
    ],
)
def test_mistakes_in_the_status_of_claims(status: dict[str, Any], said: str) -> None:
    assert status_errors(status)[0].startswith(said)


def test_the_life_of_a_claim() -> None:
    allocated = {"allocation": ALLOCATION, "reservedFor": [CONSUMER]}
    assert status_errors(allocated) == []
    assert status_errors({"allocation": {"devices": {"results": []}}}, allocated)[0].endswith("field is immutable")
    assert status_errors({}, allocated) == []
    assert "new entries may not be added" in status_errors(allocated, {"allocation": ALLOCATION}, deleted=True)[0]
    assert status_errors({"allocation": ALLOCATION}, allocated, deleted=True) == []


def test_reports_of_drivers_go_with_the_allocation() -> None:
    """A client that deallocates may not know of them. One about a device that was never allocated stays for validation to refuse."""
    results = [{**RESULT, "device": name} for name in ("d", "e")]
    reports = [{"driver": "example.com", "pool": "p", "device": name} for name in ("d", "f")]
    old = made(resource.ResourceClaim, {}, status={"allocation": {"devices": {"results": results}}, "devices": reports[:1]})
    rules = SCHEME.of(resource.ResourceClaim).rules

    def kept(status: dict[str, Any]) -> list[str]:
        new = made(resource.ResourceClaim, {}, status=status)
        rules.prepare_status_update(new, old)
        return [device.device for device in new.status.devices]

    assert kept({"devices": reports[:1]}) == []
    assert kept({"allocation": {"devices": {"results": results[:1]}}, "devices": reports[:1]}) == ["d"]
    assert kept({"allocation": {"devices": {"results": results[1:]}}, "devices": reports}) == ["f"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"driver": ""}, "driver: Required value"),
        (
            {"pool": {"name": "a", "generation": -1, "resourceSliceCount": 1}},
            "pool.generation: Invalid value: -1: must be greater than or equal to zero",
        ),
        ({"pool": {"name": "a", "resourceSliceCount": 0}}, "pool.resourceSliceCount: Invalid value: 0: must be greater than zero"),
        (
            {"nodeName": None},
            ": Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
        ),
        ({"nodeName": ""}, 'nodeName: Invalid value: "": must be either unset or set to a non-empty string'),
        ({"allNodes": True}, ': Invalid value: "{`nodeName`, `allNodes`}": exactly one of'),
        ({"allNodes": False}, "allNodes: Invalid value: false: must be either unset or set to true"),
        ({"devices": [DEVICE, DEVICE]}, 'devices[1]: Duplicate value: "gpu-0"'),
        ({"devices": [{**DEVICE, "name": f"d{n}"} for n in range(129)]}, "devices: Too many: 129: must have at most 128 items"),
        (
            {"devices": [{**DEVICE, "name": f"d{n}", "taints": [{"key": "a", "effect": "None"}]} for n in range(65)]},
            "devices: Too many: 65: must have at most 64 items",
        ),
        (
            {"sharedCounters": [{"name": "a", "counters": {"b": {"value": "1"}}}]},
            ': Invalid value: "": only one of `sharedCounters` or `devices` is allowed',
        ),
        ({"devices": [], "sharedCounters": [{"name": "", "counters": {}}]}, "sharedCounters[0].name: Required value"),
    ],
)
def test_rejects_invalid_slices(fields: dict[str, Any], said: str) -> None:
    assert slice_errors(**fields)[0].removeprefix("spec").startswith(said)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attributes": {"a b": {"int": 1}}}, 'attributes: Invalid value: "a b": a valid C identifier'),
        ({"attributes": {"/b": {"int": 1}}}, 'attributes: Invalid value: "": the domain must not be empty'),
        ({"attributes": {"a": {}}}, 'attributes[a]: Invalid value: "": exactly one value must be specified'),
        (
            {"attributes": {"a": {"version": "1.0"}}},
            'attributes[a].version: Invalid value: "1.0": must be a string compatible with semver.org spec 2.0.0',
        ),
        ({"attributes": {"a": {"string": "a" * 65}}}, "attributes[a].string: Too long: may not be more than 64 bytes"),
        (
            {"attributes": {f"a{n}": {"int": n} for n in range(32)}},
            ": Invalid value: 33: the total number of attributes and capacities must not exceed 32",
        ),
        ({"attributes": {"a": {"ints": list(range(49))}}}, ": Invalid value: 49: the total number of attribute values must not exceed 48"),
        (
            {"capacity": {"a": {"value": "1", "requestPolicy": {}}}},
            "capacity[a].requestPolicy: Forbidden: allowMultipleAllocations must be true",
        ),
        ({"taints": [{"key": "a", "effect": ""}]}, "taints[0].effect: Required value"),
        ({"consumesCounters": [{"counterSet": "a"}]}, "consumesCounters[0].counters: Required value"),
        (
            {"nodeName": "a"},
            ": Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set",
        ),
        (
            {"nodeAllocatableResourceMappings": {"cpu": {"capacityKey": "b"}}},
            'nodeAllocatableResourceMappings[cpu].capacityKey: Not found: "b"',
        ),
        (
            {"nodeAllocatableResourceMappings": {"a.b/c": {}}},
            'nodeAllocatableResourceMappings[a.b/c]: Invalid value: "a.b/c": must be a node allocatable resource name',
        ),
        (
            {"bindingConditions": ["a"], "bindingFailureConditions": ["a"]},
            'bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap',
        ),
    ],
)
def test_rejects_invalid_devices(fields: dict[str, Any], said: str) -> None:
    assert device_errors(**fields)[0].removeprefix("devices[0]").startswith(said)


def test_devices_that_say_their_nodes_themselves() -> None:
    whole = {"nodeName": None, "perDeviceNodeSelection": True}
    assert slice_errors(**whole, devices=[{**DEVICE, "allNodes": True}]) == []
    assert "is required when `perDeviceNodeSelection` is set to true" in slice_errors(**whole)[0]
    assert slice_errors(**whole, devices=[{**DEVICE, "nodeName": ""}])[0] == 'devices[0].nodeName: Invalid value: "": must not be empty'


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"validValues": ["1"]}, ".default: Required value: required when validValues is defined"),
        ({"validValues": ["2", "1"], "default": "1"}, '.validValues[1]: Invalid value: "1": values must be sorted in ascending order'),
        ({"validValues": ["1", "11"], "default": "1"}, '.validValues[1]: Invalid value: "11": option is larger than capacity value: 10'),
        ({"validValues": ["1", "1"], "default": "1"}, '.validValues[1]: Duplicate value: "1"'),
        (
            {"validValues": ["1"], "default": "2"},
            '.validValues: Invalid value: "2": default value is not valid according to the requestPolicy',
        ),
        ({"validValues": ["1"], "validRange": {"min": "1"}, "default": "1"}, ": Forbidden: exactly one policy can be specified"),
        ({"validRange": {"min": "1"}}, ".default: Required value: required when validRange is defined"),
        ({"validRange": {}, "default": "1"}, ".validRange.min: Required value: required when validRange is defined"),
        ({"validRange": {"min": "2"}, "default": "1"}, '.validRange.min: Invalid value: "1": default is less than min: 2'),
        (
            {"validRange": {"min": "1", "max": "11"}, "default": "1"},
            '.validRange.max: Invalid value: "11": max is larger than capacity value: 10',
        ),
        (
            {"validRange": {"min": "1", "step": "2"}, "default": "2"},
            '.validRange.step: Invalid value: "2": value is not a multiple of a given step (2) from (1)',
        ),
    ],
)
def test_mistakes_in_request_policies(policy: dict[str, Any], said: str) -> None:
    assert policy_errors(**policy)[0].startswith(said)


def test_sound_request_policies() -> None:
    assert policy_errors(validValues=["1", "2"], default="2") == []
    assert policy_errors(validRange={"min": "1", "max": "9", "step": "2"}, default="3") == []


def test_classes_warnings_and_tables() -> None:
    assert errors_of(resource.DeviceClass, {"extendedResourceName": "cpu"}) == [
        'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name'
    ]
    rules = SCHEME.of(resource.ResourceSlice).rules
    assert rules.warnings(made(resource.ResourceSlice, {**SLICE, "driver": "Example.com"}), None) == [
        'spec.driver: driver names should be lowercase; "Example.com" contains uppercase characters'
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    shown = [column.cell(made(resource.ResourceSlice, SLICE), now) for column in SCHEME.of(resource.ResourceSlice).columns]
    assert shown == ["mine", "node-a", "example.com", "node-a", "<unknown>"]
    claim, state = made(resource.ResourceClaim, {}), SCHEME.of(resource.ResourceClaim).columns[1].cell
    assert state(claim, now) == "pending"
    claim.status = msgspec.convert({"allocation": ALLOCATION, "reservedFor": [CONSUMER]}, resource.ResourceClaimStatus)
    assert state(claim, now) == "allocated,reserved"
    claim.metadata.deletionTimestamp = now
    assert state(claim, now) == "deleted,allocated,reserved"
