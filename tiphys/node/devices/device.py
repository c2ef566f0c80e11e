"""Devices as their plugin lists them, and what it is asked to do for a container. Pure: answers of plugins are judged here.

A plugin is somebody else's program: what it says is checked before anything is built on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from tiphys.node.devices.pb import deviceplugin_pb2 as pb
from tiphys.node.resources.assigner import Grant, Mount, Nodes

HEALTHY = "Healthy"
NO_NODE = -1
"""Number that the checkpoint has for devices which belong to no NUMA node."""
_CDI_NAME = re.compile(r"[a-zA-Z][\w.-]*/[a-zA-Z][\w.-]*=[\w.:-]+", re.ASCII)


class DeviceError(Exception):
    """Devices cannot be given to a container; the text goes on into the pod's message."""


class Device(msgspec.Struct, frozen=True):
    """One device of a resource."""

    health: str = HEALTHY
    """`Healthy`; anything else is taken for unhealthy."""
    nodes: Nodes = frozenset()
    """NUMA nodes that it is close to; empty: none in particular."""

    @property
    def is_healthy(self) -> bool:
        return self.health == HEALTHY


Devices = Mapping[str, Device]
"""Devices of one resource by id."""


def listed(answer: pb.ListAndWatchResponse) -> dict[str, Device]:
    """Return the devices of a list. Those without an id are left out, and of equal ids the last one counts."""
    return {
        one.ID: Device(one.health, frozenset(node.ID for node in one.topology.nodes if node.ID >= 0)) for one in answer.devices if one.ID
    }


def by_node(ids: Iterable[str], devices: Devices) -> dict[int, list[str]]:
    """Return devices by NUMA node, those without one by `NO_NODE`; a device that is close to several nodes is in each."""
    result: dict[int, list[str]] = {}
    for ident in sorted(ids):
        device = devices.get(ident)
        for node in sorted(device.nodes) if device is not None and device.nodes else (NO_NODE,):
            result.setdefault(node, []).append(ident)
    return result


def checked(answer: pb.AllocateResponse) -> pb.ContainerAllocateResponse:
    """Return the part of an answer that is about the one container. Raises DeviceError for an answer that no container can be made from."""
    if not answer.container_responses:
        raise DeviceError("no containers return in allocation response")
    response = answer.container_responses[0]
    mistakes = [
        *(f"environment variable {name!r}" for name in response.envs if not name or "=" in name or "\0" in name),
        *(f"value of the environment variable {name!r}" for name, value in response.envs.items() if "\0" in value),
        *(f"mount of {one.host_path!r} at {one.container_path!r}" for one in response.mounts if not _are_paths(one)),
        *(f"device {one.host_path!r} at {one.container_path!r}" for one in response.devices if not _are_paths(one)),
        *(f"permissions {one.permissions!r} of a device" for one in response.devices if set(one.permissions) - set("rwm")),
        *(f"CDI device {one.name!r}" for one in response.cdi_devices if not _CDI_NAME.fullmatch(one.name)),
    ]
    if mistakes:
        raise DeviceError(f"the device plugin's allocation response is invalid: {mistakes[0]}")
    return response


def _are_paths(one: pb.Mount | pb.DeviceSpec) -> bool:
    return all(path.startswith("/") and "\0" not in path for path in (one.host_path, one.container_path))


def grant_of(answers: Iterable[pb.ContainerAllocateResponse]) -> Grant:
    """Return what answers for the resources of one container amount to; of two that differ about a name or path the first one counts."""
    env: dict[str, str] = {}
    annotations: dict[str, str] = {}
    mounts: dict[str, Mount] = {}
    files: dict[str, tuple[str, str, str]] = {}
    cdi: dict[str, None] = {}
    for answer in answers:
        for name, value in answer.envs.items():
            env.setdefault(name, value)
        for name, value in answer.annotations.items():
            annotations.setdefault(name, value)
        for mount in answer.mounts:
            mounts.setdefault(mount.container_path, Mount(mount.host_path, mount.container_path, mount.read_only))
        for file in answer.devices:
            files.setdefault(file.container_path, (file.host_path, file.container_path, file.permissions))
        cdi.update(dict.fromkeys(one.name for one in answer.cdi_devices))
    return Grant(env=env, annotations=annotations, mounts=tuple(mounts.values()), devices=tuple(files.values()), cdi_devices=tuple(cdi))
