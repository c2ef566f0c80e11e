"""Devices of the Container Device Interface, read from the files of drivers and turned into device files, mounts and variables.

CRI passes names of devices on only from containerd 1.7 on, and that one needs to be told; the files mean the same on every version. What a
file wants beyond that (hooks, groups, changes of the network) cannot be expressed in CRI and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tiphys.node.resources.assigner import Grant, Mount

DIRECTORIES: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Directories of specifications; a later one wins."""
_UNSUPPORTED = ("hooks", "additionalGids", "intelRdt", "netDevices")


class CdiError(Exception):
    """A device that no file describes, or that asks for what cannot be done."""


def read_specs(directories: Sequence[Path] = DIRECTORIES) -> list[Mapping[str, Any]]:
    """Return all specifications, those that win last. Files that cannot be read are left out, as by container runtimes."""
    specs: list[Mapping[str, Any]] = []
    for directory in directories:
        try:
            files = sorted(path for path in directory.iterdir() if path.suffix in (".json", ".yaml", ".yml"))
        except OSError:
            continue
        for path in files:
            try:
                text = path.read_text(encoding="utf-8")
                spec = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
            except (OSError, ValueError, yaml.YAMLError):
                continue
            if isinstance(spec, dict) and isinstance(spec.get("kind"), str):
                specs.append(spec)
    return specs


def grant_of(names: Iterable[str], specs: Sequence[Mapping[str, Any]]) -> Grant:
    """Return what containers get with these devices (`vendor/class=name`). Raises CdiError."""
    edits: list[Mapping[str, Any]] = []
    for name in dict.fromkeys(names):
        kind, _, device = name.partition("=")
        spec, entry = _find(kind, device, specs)
        if spec is None or entry is None:
            raise CdiError(f"unresolvable CDI devices {name}")
        for edit in (spec.get("containerEdits") or {}, entry.get("containerEdits") or {}):
            if edit not in edits:
                edits.append(edit)
    for edit in edits:
        if odd := [field for field in _UNSUPPORTED if edit.get(field)]:
            raise CdiError(f"CDI edits of the kind {', '.join(odd)} are not supported by this node")
    return Grant(
        env=dict(_pair(text) for edit in edits for text in edit.get("env") or ()),
        mounts=tuple(_mount(one) for edit in edits for one in edit.get("mounts") or ()),
        devices=tuple(_device(one) for edit in edits for one in edit.get("deviceNodes") or ()),
    )


def _find(kind: str, device: str, specs: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    for spec in reversed(specs):
        if spec["kind"] == kind:
            for entry in spec.get("devices") or ():
                if entry.get("name") == device:
                    return spec, entry
    return None, None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = str(text).partition("=")
    return name, value


def _mount(mount: Mapping[str, Any]) -> Mount:
    return Mount(str(mount["hostPath"]), str(mount["containerPath"]), read_only="ro" in (mount.get("options") or ()))


def _device(node: Mapping[str, Any]) -> tuple[str, str, str]:
    path = str(node["path"])
    return str(node.get("hostPath") or path), path, str(node.get("permissions") or "rwm")
