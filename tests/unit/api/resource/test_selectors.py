"""Selectors of devices, and the functions of Kubernetes in them."""

from __future__ import annotations

import pytest

from tiphys.api.machinery.base import Quantity
from tiphys.api.resource.resource_claim import validate_selector
from tiphys.api.resource.selectors import compile_selector, device_variables
from tiphys.api.resource.v1 import CELDeviceSelector, Device, DeviceAttribute, DeviceCapacity, DeviceSelector
from tiphys.api.rules.basics import Errors
from tiphys.cel.errors import EvaluationError

DEVICE = Device(
    name="gpu-0",
    attributes={
        "model": DeviceAttribute(string="A100"),
        "driverVersion": DeviceAttribute(version="1.2.3"),
        "example.com/numa": DeviceAttribute(int_=5),
        "healthy": DeviceAttribute(bool_=True),
    },
    capacity={"memory": DeviceCapacity(value=Quantity("40Gi"))},
)
G = 'device.attributes["gpu.example.com"]'
C = 'device.capacity["gpu.example.com"]'


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('device.driver == "gpu.example.com"', True),
        (f'{G}.model == "A100" && {G}["model"] != "H100"', True),
        (f"{G}.healthy", True),
        (f'{G}.driverVersion.isGreaterThan(semver("1.0.0"))', True),
        (f'{G}.driverVersion == semver("1.2.3")', True),
        (f'{C}.memory.isGreaterThan(quantity("10Gi")) && {C}.memory.compareTo(quantity("40Gi")) == 0', True),
        (f'{C}.memory.isLessThan(quantity("40Gi"))', False),
        ('has(device.attributes["other.example.com"].model)', False),
        ('"other.example.com" in device.attributes', False),
        ('device.attributes["example.com"].numa in [4, 5]', True),
        (f'cel.bind(gpu, {G}, gpu.healthy && gpu.?missing.orValue("none") == "none")', True),
        ("device.allowMultipleAllocations", False),
        ('quantity("1Gi") == quantity("1024Mi") && quantity("1").add(5).asInteger() == 6', True),
        ('semver("v1.2", true) == semver("1.2.0") && semver("1.2.0-rc.2").isLessThan(semver("1.2.0-rc.10"))', True),
        ('semver("1.2.0-rc.1").isLessThan(semver("1.2.0")) && !isSemver("1.2") && isSemver("v1.2", true)', True),
        ('semver("1.2.3").major() == 1 && semver("1.2.3").compareTo(semver("1.3.0")) == -1', True),
        ('cidr("10.0.0.0/8").containsIP("10.1.2.3") && ip("::1").isLoopback() && !isIP("::ffff:1.2.3.4")', True),
        ('cidr("10.0.0.0/8").containsCIDR(cidr("10.9.0.0/16")) && cidr("10.1.1.1/8").masked().ip() == ip("10.0.0.0")', True),
    ],
)
def test_matches(text: str, matches: bool) -> None:
    assert compile_selector(text).matches(device_variables("gpu.example.com", DEVICE)) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('device.attributes["other.example.com"].model == "A100"', "Key not found"),
        (f"{G}.model", "could not be converted to bool"),
        ('quantity("many") == quantity("1")', "quantities must match the regular expression"),
    ],
)
def test_fails_for_devices_that_do_not_suit(text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compile_selector(text).matches(device_variables("gpu.example.com", DEVICE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "device.driver ==",
            'spec.cel.expression: Invalid value: "device.driver ==": compilation failed: ERROR: <input>:1:17: Syntax error',
        ),
        ("device.name == 'a'", "undeclared reference to 'device.name'"),
        ("device.driver", 'Invalid value: "device.driver": must evaluate to bool or the unknown type, not string'),
        (
            "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a == d))))",
            "spec.cel.expression: Forbidden: too complex, exceeds cost limit",
        ),
    ],
)
def test_admission_refuses(text: str, message: str) -> None:
    errors: Errors = []
    validate_selector(errors, "spec", DeviceSelector(cel=CELDeviceSelector(expression=text)))
    assert len(errors) == 1
    assert message in str(errors[0])
