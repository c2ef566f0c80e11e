"""Facts about the kubelet that the command line needs, without importing the kubelet."""

from __future__ import annotations

from pathlib import Path

from tiphys.node.runtime.cgroups import hierarchies, is_v2
from tiphys.node.runtime.cni import BIN_DIRS
from tiphys.node.runtime.mounts import overlay_works

__all__ = ["cgroup_root", "cni_dirs", "hierarchies", "is_v2", "overlay_works"]


def cni_dirs() -> tuple[str, ...]:
    """Return the directories in which CNI plugins are looked for."""
    return BIN_DIRS


def cgroup_root() -> Path:
    """Return the mount point of control groups."""
    from tiphys.node.runtime.cgroups import ROOT

    return ROOT
