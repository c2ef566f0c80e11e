"""The bytes themselves, against what the encoding's rules say and what Go writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.authentication.v1 import UserInfo
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery import protobuf
from tiphys.api.machinery.protobuf import Malformed, read, write
from tiphys.api.meta import v1 as meta
from tiphys.api.networking import v1 as networking

CASES: list[tuple[type[msgspec.Struct], dict[str, Any], str]] = [
    # Plain fields, numbers of several bytes, and negative ones, which take ten.
    (core.ContainerPort, {"name": "http", "containerPort": 8080}, "0a0468747470" + "18903f"),
    (core.PodSpec, {"priority": -1}, "c801" + "ffffffffffffffffff01"),
    (core.PodSpec, {"terminationGracePeriodSeconds": 0, "hostNetwork": True}, "2000" + "5801"),
    # A message of its own where JSON has none.
    (core.Volume, {"name": "v", "emptyDir": {}}, "0a0176" + "1202" + "1200"),
    (core.Probe, {"exec": {"command": ["a"]}, "periodSeconds": 3}, "2003" + "0a05" + "0a03" + "0a0161"),
    (core.SecretKeySelector, {"name": "s", "key": "k"}, "12016b" + "0a03" + "0a0173"),
    # Values that are messages.
    (core.ResourceRequirements, {"limits": {"cpu": "1"}}, "0a0a" + "0a03637075" + "1203" + "0a0131"),
    (core.TCPSocketAction, {"port": 80}, "0a06" + "0800" + "1050" + "1a00"),
    (core.TCPSocketAction, {"port": "http"}, "0a0a" + "0801" + "1000" + "1a0468747470"),
    (meta.ObjectMeta, {"creationTimestamp": "1970-01-01T00:00:00Z"}, "4204" + "0800" + "1000"),
    (coordination.LeaseSpec, {"renewTime": "1970-01-01T00:00:01.000002Z"}, "2205" + "0801" + "10d00f"),
    (core.Secret, {"data": {"k": "AAE="}}, "1207" + "0a016b" + "12020001"),
    (apps.ControllerRevision, {"data": {"a": 1}}, "1209" + "0a07" + b'{"a":1}'.hex()),
    (meta.ManagedFieldsEntry, {"fieldsV1": {"f:a": {}}}, "3a0c" + "0a0a" + b'{"f:a":{}}'.hex()),
    (UserInfo, {"extra": {"k": ["v", ""]}}, "220a" + "0a016b" + "1205" + "0a0176" + "0a00"),
    (networking.NetworkPolicyPort, {"port": "p"}, "1207" + "0801" + "1000" + "1a0170"),
]


@pytest.mark.parametrize(("type_", "document", "expected"), CASES, ids=lambda item: item.__name__ if isinstance(item, type) else None)
def test_known_bytes(type_: type[msgspec.Struct], document: dict[str, Any], expected: str) -> None:
    assert write(type_, document).hex() == expected
    assert read(type_, bytes.fromhex(expected)) == msgspec.json.decode(msgspec.json.encode(document), type=type_)


def test_zero_values_that_go_writes_mean_nothing() -> None:
    written_by_go = bytes.fromhex("0a00" + "1000" + "1800" + "2200" + "2a00")
    assert read(core.ContainerPort, written_by_go) == core.ContainerPort()
    # An empty time is none, an empty part of an object is what it is by default.
    assert read(meta.ObjectMeta, bytes.fromhex("0a00" + "3800" + "4200")) == meta.ObjectMeta()
    assert read(core.Pod, bytes.fromhex("0a00" + "1200" + "1a00")) == core.Pod()


def test_zero_of_a_pointer_is_not_absence() -> None:
    assert read(apps.DeploymentSpec, bytes.fromhex("0800")).replicas == 0
    assert read(apps.DeploymentSpec, b"").replicas is None
    assert read(core.SecurityContext, bytes.fromhex("1000")).privileged is False
    assert read(core.SecurityContext, bytes.fromhex("0a00")).capabilities == core.Capabilities()
    assert read(core.SeccompProfile, bytes.fromhex("1200")).localhostProfile == ""


def test_unknown_fields_are_passed_over() -> None:
    unknown = "f80701" + "fa070161" + "f9070000000000000000" + "fd0700000000" + "fb07" + "0a0161" + "fb07" + "fc07" + "fc07"
    assert read(core.ContainerPort, bytes.fromhex(unknown + "0a0161")) == core.ContainerPort(name="a")


def test_numbers_lose_what_does_not_fit() -> None:
    assert read(core.ContainerPort, bytes.fromhex("18" + "8180808010")).containerPort == 1
    assert read(core.ContainerPort, bytes.fromhex("18" + "ffffffff0f")).containerPort == -1


def test_packed_and_single_numbers() -> None:
    expected = core.PodSecurityContext(supplementalGroups=[1, 300])
    assert read(core.PodSecurityContext, bytes.fromhex("2001" + "20ac02")) == expected
    assert read(core.PodSecurityContext, bytes.fromhex("2203" + "01ac02")) == expected


def test_times_lose_their_fraction_and_must_exist() -> None:
    read_time = read(meta.ObjectMeta, bytes.fromhex("4206" + "0801" + "10c0843d")).creationTimestamp
    assert read_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    with pytest.raises(Malformed, match="years"):
        read(meta.ObjectMeta, bytes.fromhex("420a" + "08ffffffffffffffff7f"))


def test_a_time_that_is_none_does_no_harm() -> None:
    assert write(coordination.LeaseSpec, {"renewTime": "soon"}).hex() == "2200"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("0a05", "unexpected EOF"),
        ("0a", "unexpected EOF"),
        ("18", "unexpected EOF"),
        ("8a", "unexpected EOF"),
        ("0801", "wrong wireType = 0 for field name"),
        ("1a0161", "wrong wireType = 2 for field containerPort"),
        ("0000", "illegal tag 0"),
        ("fc0700", "end group"),
        ("fe0700", "illegal wireType 6"),
        ("18ffffffffffffffffffffff01", "integer overflow"),
        ("0a01ff", "UTF-8"),
    ],
)
def test_malformed(data: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read(core.ContainerPort, bytes.fromhex(data))


def test_inner_values_may_not_reach_out() -> None:
    """A length or a number inside a message that ends behind the message."""
    for data in ("0a030a0561" + "0a0161", "0a0108" + "01", "0a0118"):
        with pytest.raises(Malformed):
            read(core.PodIP, bytes.fromhex("0a02ff"))
        with pytest.raises(Malformed):
            read(core.Container, bytes.fromhex("32" + f"{len(data) // 2 - 1:02x}" + data))


def test_envelope() -> None:
    body = protobuf.seal("apps/v1", "Deployment", b"abc")
    assert body.hex() == "6b387300" + "0a15" + "0a07617070732f7631" + "120a4465706c6f796d656e74" + "1203616263" + "1a00" + "2200"
    assert protobuf.open_envelope(body) == ("apps/v1", "Deployment", b"abc")
    assert protobuf.open_envelope(b"k8s\0" + bytes.fromhex("1200")) == ("", "", b"")


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "empty data"), (b"{}", "expected prefix \\[107 56 115 0\\]"), (b"k8s\0", "empty body"), (b"k8s\0\x0a\x05", "EOF")],
)
def test_no_envelope(body: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        protobuf.open_envelope(body)


def test_lists_and_frames() -> None:
    items = [write(core.ConfigMap, {"metadata": {"name": name}}) for name in ("a", "b")]
    listed = protobuf.item_list({"resourceVersion": "7"}, items)
    assert listed.hex() == "0a03120137" + "1205" + "0a030a0161" + "1205" + "0a030a0162"
    frame = protobuf.watch_frame("ADDED", b"sealed")
    assert frame.hex() == "00000011" + "0a054144444544" + "1208" + "0a06" + b"sealed".hex()
