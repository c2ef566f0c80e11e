"""The node: volumes that are attached to it become visible at the paths of pods."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from csi_directory import system
from csi_directory.controller import condition
from csi_directory.rules import READ_ONLY, ZONE, Mode, check_capability, check_path, need
from csi_directory.store import Node, Record, Store, id_of
from tiphys.api.machinery import quantity
from tiphys.csi.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb

_RPC = pb.NodeServiceCapability.RPC
_CAPABILITIES = (_RPC.STAGE_UNSTAGE_VOLUME, _RPC.GET_VOLUME_STATS, _RPC.EXPAND_VOLUME, _RPC.VOLUME_CONDITION, _RPC.SINGLE_NODE_MULTI_WRITER)
DEVICE = "device"
"""Name of a block device in the staging directory."""
EPHEMERAL_SIZE = "64Mi"


class NodeService:
    """Verbs of a node."""

    def __init__(self, store: Store, node: Node) -> None:
        self.store = store
        self.node = node
        store.introduce(node)

    def node_get_capabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        return pb.NodeGetCapabilitiesResponse(capabilities=[pb.NodeServiceCapability(rpc=_RPC(type=kind)) for kind in _CAPABILITIES])

    def node_get_info(self, request: pb.NodeGetInfoRequest) -> pb.NodeGetInfoResponse:
        answer = pb.NodeGetInfoResponse(node_id=self.node.id, max_volumes_per_node=self.node.max_volumes)
        if self.node.zone:
            answer.accessible_topology.segments[ZONE] = self.node.zone
        return answer

    # -- staging: once for all pods

    def node_stage_volume(self, request: pb.NodeStageVolumeRequest) -> pb.NodeStageVolumeResponse:
        need(volume_id=request.volume_id, volume_capability=request.HasField("volume_capability"))
        check_path(request.staging_target_path, "staging_target_path")
        with self.store.locked(request.volume_id):
            volume = self.store.load(request.volume_id, "v")
            check_capability(request.volume_capability, volume.backing)
            if (attachment := volume.attachments.get(self.node.id)) is None:
                raise FailedPrecondition(f"the volume is not attached to {self.node.id}")
            self._stage(volume, request.staging_target_path, request.volume_capability, readonly=attachment.readonly)
        return pb.NodeStageVolumeResponse()

    def _stage(self, volume: Record, target: str, capability: pb.VolumeCapability, *, readonly: bool) -> None:
        folder = self.store.folder(volume.id)
        options = [*capability.mount.mount_flags, *(["ro"] if readonly else [])]
        if volume.backing == "directory":
            system.bind(str(folder / "data"), target, folder, options)
            return
        with system.loop_device(folder / "disk") as device:
            if capability.HasField("block"):
                system.run("losetup", "--set-capacity", device)
                system.bind(device, os.path.join(target, DEVICE), folder, [])
                return
            fs_type = capability.mount.fs_type or "ext4"
            system.format_if_blank(device, fs_type)
            system.mount_disk(device, target, folder, fs_type, options)

    def node_unstage_volume(self, request: pb.NodeUnstageVolumeRequest) -> pb.NodeUnstageVolumeResponse:
        need(volume_id=request.volume_id)
        check_path(request.staging_target_path, "staging_target_path")
        with self.store.locked(request.volume_id):
            folder = self.store.folder(request.volume_id)
            # The directory itself is the kubelet's.
            device = os.path.join(request.staging_target_path, DEVICE)
            if system.mount_at(request.staging_target_path) is None:
                system.unmount(device, folder)
                system.remove_mount_point(device)
            system.unmount(request.staging_target_path, folder)
            system.release_loop(folder)
        return pb.NodeUnstageVolumeResponse()

    # -- publishing: for each pod

    def node_publish_volume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        need(volume_id=request.volume_id, volume_capability=request.HasField("volume_capability"))
        check_path(request.target_path, "target_path")
        if request.volume_context.get("csi.storage.k8s.io/ephemeral") == "true":
            self._publish_ephemeral(request)
            return pb.NodePublishVolumeResponse()
        check_path(request.staging_target_path, "staging_target_path")
        with self.store.locked(request.volume_id):
            volume, folder = self.store.load(request.volume_id, "v"), self.store.folder(request.volume_id)
            check_capability(request.volume_capability, volume.backing)
            source = request.staging_target_path
            if request.volume_capability.HasField("block"):
                source = os.path.join(source, DEVICE)
            staged = system.mount_at(source)
            if staged is None or not staged.is_of(folder):
                raise FailedPrecondition(f"the volume is not staged at {request.staging_target_path}")
            mode = request.volume_capability.access_mode.mode
            if mode == Mode.SINGLE_NODE_SINGLE_WRITER:
                self._check_single(folder, source, request.target_path)
            # What the staged mount forbids, its copies forbid as well.
            readonly = ["ro"] if request.readonly or mode in READ_ONLY else []
            system.bind(source, request.target_path, folder, [*staged.options, *readonly])
        return pb.NodePublishVolumeResponse()

    def _check_single(self, folder: Path, *allowed: str) -> None:
        own = {system.real(path) for path in allowed}
        others = [mount.path for mount in system.mounts() if mount.is_of(folder) and mount.path not in own]
        if others:
            raise FailedPrecondition(f"the volume is published for a single writer at {others[0]}")

    def _publish_ephemeral(self, request: pb.NodePublishVolumeRequest) -> None:
        """Make a volume that lives as long as its pod, and mount it."""
        check_capability(request.volume_capability, "disk")
        need(mount=request.volume_capability.HasField("mount"))
        try:
            size = quantity.whole(request.volume_context.get("size", EPHEMERAL_SIZE))
        except ValueError as error:
            raise InvalidArgument(f"size: {error}") from error
        if not 1 << 20 <= size < 1 << 62:
            raise OutOfRange("size is at least 1Mi")
        if not (id := _id(request.volume_id)).startswith("e"):
            raise InvalidArgument(f"{id} is no volume of a single pod")
        with self.store.locked(id):
            try:
                volume = self.store.load(id)
            except NotFound:
                volume = Record(id=id, name=request.volume_id, size=size, backing="disk")
                self.store.create(volume)
            self._stage(volume, request.target_path, request.volume_capability, readonly=request.readonly)

    def node_unpublish_volume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        need(volume_id=request.volume_id)
        check_path(request.target_path, "target_path")
        id = _id(request.volume_id)
        folder = self.store.folder(id)
        with self.store.locked(id):
            system.unmount(request.target_path, folder)
            system.remove_mount_point(request.target_path)
            if id.startswith("e") and not any(mount.is_of(folder) for mount in system.mounts()):
                system.release_loop(folder)
                self.store.remove(id)
        return pb.NodeUnpublishVolumeResponse()

    # -- a volume in use

    def _in_use(self, volume_id: str, path: str) -> tuple[Record, Path, system.Mount]:
        volume = self.store.load(_id(volume_id))
        folder = self.store.folder(volume.id)
        for place in (path, os.path.join(path, DEVICE)):
            if (mount := system.mount_at(place)) is not None and mount.is_of(folder):
                return volume, folder, mount
        raise NotFound(f"there is no {volume.id} at {path}")

    def node_get_volume_stats(self, request: pb.NodeGetVolumeStatsRequest) -> pb.NodeGetVolumeStatsResponse:
        need(volume_id=request.volume_id)
        check_path(request.volume_path, "volume_path")
        volume, folder, mount = self._in_use(request.volume_id, request.volume_path)
        answer = pb.NodeGetVolumeStatsResponse(volume_condition=condition(self.store, volume))
        if stat.S_ISBLK(os.stat(mount.path).st_mode):
            answer.usage.add(unit=pb.VolumeUsage.BYTES, total=volume.size)
        elif volume.backing == "directory":
            used, inodes = _usage(folder / "data")
            answer.usage.add(unit=pb.VolumeUsage.BYTES, total=volume.size, used=used, available=max(volume.size - used, 0))
            answer.usage.add(unit=pb.VolumeUsage.INODES, used=inodes)
        else:
            space = os.statvfs(mount.path)
            block, free = space.f_frsize, space.f_blocks - space.f_bfree
            answer.usage.add(unit=pb.VolumeUsage.BYTES, total=space.f_blocks * block, used=free * block, available=space.f_bavail * block)
            answer.usage.add(unit=pb.VolumeUsage.INODES, total=space.f_files, used=space.f_files - space.f_ffree, available=space.f_favail)
        return answer

    def node_expand_volume(self, request: pb.NodeExpandVolumeRequest) -> pb.NodeExpandVolumeResponse:
        need(volume_id=request.volume_id)
        check_path(request.volume_path, "volume_path")
        with self.store.locked(request.volume_id):
            volume, folder, mount = self._in_use(request.volume_id, request.volume_path)
            if request.capacity_range.required_bytes > volume.size:
                raise OutOfRange(f"the volume has {volume.size} bytes")
            if volume.backing == "disk":
                with system.loop_device(folder / "disk") as device:
                    if stat.S_ISBLK(os.stat(mount.path).st_mode):
                        system.run("losetup", "--set-capacity", device)
                    else:
                        system.grow(device, mount.path, mount.fs_type)
        return pb.NodeExpandVolumeResponse(capacity_bytes=volume.size)


def _id(volume_id: str) -> str:
    """Return the identifier of a volume; those of single pods come with names that the kubelet chose."""
    return volume_id if re.fullmatch(r"[vs]-[0-9a-f]{32}", volume_id) else id_of("e", volume_id)


def _usage(directory: Path) -> tuple[int, int]:
    """Return the bytes and the number of files of a directory; links are not followed."""
    used = count = 0
    for _, folders, files, opened in os.fwalk(directory):
        for name in (*folders, *files):
            try:
                used += os.stat(name, dir_fd=opened, follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue
            count += 1
    return used, count
