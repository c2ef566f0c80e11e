"""Plugins say all kinds of things."""

from __future__ import annotations

import pytest

from tiphys.node.devices.device import NO_NODE, Device, DeviceError, by_node, checked, grant_of, listed
from tiphys.node.devices.pb import deviceplugin_pb2 as pb
from tiphys.node.resources.assigner import Grant, Mount


def test_lists_devices() -> None:
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=1), pb.NUMANode(ID=-7)])
    answer = pb.ListAndWatchResponse(
        devices=[pb.Device(ID="a", health="Unhealthy"), pb.Device(), pb.Device(ID="a", health="Healthy", topology=topology)]
    )
    assert listed(answer) == {"a": Device("Healthy", frozenset((1,)))}
    assert not listed(pb.ListAndWatchResponse(devices=[pb.Device(ID="b", health="fine")]))["b"].is_healthy


def test_groups_devices_by_node() -> None:
    devices = {"a": Device(nodes=frozenset((0, 1))), "b": Device(nodes=frozenset((1,))), "c": Device()}
    assert by_node("cba", devices) == {0: ["a"], 1: ["a", "b"], NO_NODE: ["c"]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (pb.ContainerAllocateResponse(envs={"A=B": "c"}), "environment variable 'A=B'"),
        (pb.ContainerAllocateResponse(envs={"": "c"}), "environment variable ''"),
        (pb.ContainerAllocateResponse(envs={"A": "\0"}), "value of the environment variable 'A'"),
        (pb.ContainerAllocateResponse(mounts=[pb.Mount(host_path="etc", container_path="/etc")]), "mount of 'etc' at '/etc'"),
        (pb.ContainerAllocateResponse(mounts=[pb.Mount(host_path="/etc")]), "mount of '/etc' at ''"),
        (
            pb.ContainerAllocateResponse(devices=[pb.DeviceSpec(host_path="/dev/null", container_path="null")]),
            "device '/dev/null' at 'null'",
        ),
        (
            pb.ContainerAllocateResponse(devices=[pb.DeviceSpec(host_path="/dev/a", container_path="/dev/a", permissions="rx")]),
            "permissions 'rx' of a device",
        ),
        (pb.ContainerAllocateResponse(cdi_devices=[pb.CDIDevice(name="gpu0")]), "CDI device 'gpu0'"),
    ],
)
def test_refuses_answers_that_no_container_can_be_made_from(answer: pb.ContainerAllocateResponse, message: str) -> None:
    with pytest.raises(DeviceError, match=f"the device plugin's allocation response is invalid: {message}"):
        checked(pb.AllocateResponse(container_responses=[answer]))


def test_an_answer_without_containers() -> None:
    with pytest.raises(DeviceError, match="no containers return in allocation response"):
        checked(pb.AllocateResponse())


def test_adds_answers_up() -> None:
    first = pb.ContainerAllocateResponse(
        envs={"A": "1"},
        mounts=[pb.Mount(host_path="/lib", container_path="/lib", read_only=True)],
        devices=[pb.DeviceSpec(host_path="/dev/a", container_path="/dev/x", permissions="rw")],
        annotations={"a": "b"},
        cdi_devices=[pb.CDIDevice(name="vendor.com/gpu=0")],
    )
    second = pb.ContainerAllocateResponse(
        envs={"A": "2", "B": "3"},
        mounts=[pb.Mount(host_path="/other", container_path="/lib")],
        devices=[pb.DeviceSpec(host_path="/dev/b", container_path="/dev/x", permissions="r")],
        cdi_devices=[pb.CDIDevice(name="vendor.com/gpu=0"), pb.CDIDevice(name="vendor.com/gpu=1")],
    )
    assert grant_of([checked(pb.AllocateResponse(container_responses=[one])) for one in (first, second)]) == Grant(
        env={"A": "1", "B": "3"},
        mounts=(Mount("/lib", "/lib", read_only=True),),
        devices=(("/dev/a", "/dev/x", "rw"),),
        annotations={"a": "b"},
        cdi_devices=("vendor.com/gpu=0", "vendor.com/gpu=1"),
    )
