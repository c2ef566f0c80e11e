"""Sysctls that a pod may set ("Using sysctls in a Kubernetes Cluster"). Pure.

A sysctl is allowed only if the kernel keeps it per namespace, and only in a namespace that is the pod's own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

SAFE = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)  # fmt: skip
"""Allowed without an option: they are kept per namespace and cannot harm others on the node."""
_IPC = frozenset((
    "kernel.sem", "kernel.shm", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.msg",
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
))  # fmt: skip


def normalized(name: str) -> str:
    """The name with dots between its parts. Where the first separator is a slash, dots belong to the parts: net/ipv4/conf/eth0.1/mtu."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def namespace_of(name: str) -> str:
    """The kernel namespace that a sysctl (or the start of a pattern) is kept in, "IPC" or "Net"; "" if it is the machine's."""
    if name in _IPC or name.startswith("fs.mqueue."):
        return "IPC"
    return "Net" if name.startswith("net.") else ""


class AllowedSysctls(msgspec.Struct, frozen=True):
    """The safe sysctls and those that the node's options add: names, or patterns that end with `*`."""

    names: frozenset[str] = frozenset(SAFE)
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, unsafe: Iterable[str]) -> AllowedSysctls:
        """Add names and patterns to the safe ones; raises ValueError for one that is not kept per namespace."""
        names, prefixes = set(SAFE), []
        for text in unsafe:
            name, star, rest = normalized(text).partition("*")
            if rest:
                raise ValueError(f"the sysctl pattern {text!r} must have its * at the end")
            if not namespace_of(name):
                raise ValueError(f"the sysctls {name!r} are not known to be namespaced")
            if star:
                prefixes.append(name)
            else:
                names.add(name)
        return cls(frozenset(names), tuple(prefixes))

    def fault(self, name: str, *, host_network: bool, host_ipc: bool) -> str:
        """Return why a pod may not set the sysctl, or ""."""
        name = normalized(name)
        if name not in self.names and not name.startswith(self.prefixes or ("\0",)):
            return f'"{name}" not allowlisted'
        namespace = namespace_of(name)
        if (namespace == "IPC" and host_ipc) or (namespace == "Net" and host_network):
            return f'"{name}" not allowed with host {namespace} enabled'
        return ""
