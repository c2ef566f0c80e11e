"""System calls on NFS mounts, as a program: they may hang, and a process can be left behind where a thread cannot.

    python -m tiphys.node.volumes.nfs_call mount SOURCE SERVER TARGET OPTION...
    python -m tiphys.node.volumes.nfs_call unmount TARGET [force]

The exit status is the error number of the call, 0 for success; the output says it in words. "nfs(5)" has the meaning of the options.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

from tiphys.node.volumes import mounts

_FLAGS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
_NOT_FOR_THE_KERNEL = {
    "rw",
    "defaults",
    "bg",
    "fg",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "_netdev",
    "nofail",
    "suid",
    "dev",
    "exec",
}
"""Options of mount(8) and mount.nfs(8) themselves, or what the kernel does without being told."""
_VERSIONS = ("4.2", "4.1", "4.0")
"""Versions to try where none is given. Older ones take mount.nfs, which asks the server's port mapper."""
_NEXT_VERSION = (errno.EPROTONOSUPPORT, errno.EINVAL, errno.EPROTO)


def split_options(options: list[str]) -> tuple[int, list[str], str]:
    """Return the flags of mount(2), the options for the file system, and the version among them, "" if none is given."""
    flags, data, version = 0, [], ""
    for option in options:
        name, _, value = option.partition("=")
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif name in ("vers", "nfsvers"):
            version = value
        elif option in ("v4.0", "v4.1", "v4.2", "v3"):
            version = option[1:]
        elif option not in _NOT_FOR_THE_KERNEL and name != "retry" and not name.startswith("x-"):
            data.append(option)
    return flags, data, version


def mount(source: str, server: str, target: str, options: list[str]) -> None:
    """Mount without mount.nfs: resolve the server and try the versions that need nothing else. Raises OSError."""
    flags, data, version = split_options(options)
    if version.startswith(("2", "3")):
        raise OSError(errno.EPROTONOSUPPORT, f"NFS version {version} needs mount.nfs: apt-get install nfs-common")
    try:
        addresses = [str(info[4][0]) for info in socket.getaddrinfo(server, 2049, type=socket.SOCK_STREAM)]
    except socket.gaierror as error:
        raise OSError(errno.EHOSTUNREACH, f"Failed to resolve server {server}: {error.strerror}") from error
    failure = OSError(errno.EHOSTUNREACH, f"server {server} has no address")
    for address in dict.fromkeys(addresses):
        for one in (version,) if version else _VERSIONS:
            try:
                mounts.mount(source, target, "nfs", flags, ",".join([*data, f"vers={one}", f"addr={address}"]))
            except OSError as error:
                failure = error
                if error.errno not in _NEXT_VERSION:
                    break
            else:
                return
    raise failure


def unmount(target: str, *, force: bool) -> None:
    """Unmount; by force, calls that wait for the server fail, and the mount point is free although files are open. Raises OSError."""
    mounts.unmount_with(target, mounts.MNT_FORCE | mounts.MNT_DETACH if force else 0)


def main(arguments: list[str]) -> int:
    """Carry out one call; returns the exit status."""
    try:
        match arguments:
            case ["mount", source, server, target, *options]:
                mount(source, server, target, options)
            case ["unmount", target]:
                unmount(target, force=False)
            case ["unmount", target, "force"]:
                unmount(target, force=True)
            case _:
                raise OSError(errno.EINVAL, f"unknown call: {arguments}")
    except OSError as error:
        print(error.strerror or error)
        return error.errno or errno.EIO
    return 0


if __name__ == "__main__":
    # Without the interpreter's own farewell, which may look at directories that hang.
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
