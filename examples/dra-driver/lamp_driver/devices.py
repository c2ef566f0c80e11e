"""The driver's devices: its ResourceSlice, and files of the Container Device Interface. Replace `lamps` by a look at real hardware."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DRIVER = "lamps.example.com"
CDI_KIND = "lamps.example.com/lamp"
COLORS = ("red", "green", "blue", "white")


def lamps(count: int) -> list[dict[str, Any]]:
    """Return the devices as a ResourceSlice has them."""
    return [
        {
            "name": f"lamp-{number}",
            "attributes": {"color": {"string": COLORS[number % len(COLORS)]}, "version": {"version": f"1.{number}.0"}},
            "capacity": {"lumen": {"value": str(400 * (number + 1))}},
        }
        for number in range(count)
    ]


def resource_slice(node: Mapping[str, Any], count: int, generation: int) -> dict[str, Any]:
    """Return the slice of a node (its Node object); it goes with the node."""
    meta = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{meta['name']}-{DRIVER}", "ownerReferences": [owner]},
        "spec": {
            "driver": DRIVER,
            "nodeName": meta["name"],
            "pool": {"name": meta["name"], "generation": generation, "resourceSliceCount": 1},
            "devices": lamps(count),
        },
    }


def cdi_spec(uid: str, devices: Sequence[str]) -> dict[str, Any]:
    """Return the CDI file of a claim: each lamp is a device file (the machine's /dev/null) and a variable."""
    return {
        "cdiVersion": "0.6.0",
        "kind": CDI_KIND,
        "devices": [
            {
                "name": f"{uid}-{name}",
                "containerEdits": {
                    "env": [f"{name.upper().replace('-', '_')}=on"],
                    "deviceNodes": [{"path": f"/dev/{name}", "hostPath": "/dev/null", "permissions": "rw"}],
                },
            }
            for name in devices
        ],
    }


def spec_path(directory: Path, uid: str) -> Path:
    """Return where the CDI file of a claim is."""
    return directory / f"{DRIVER}-{uid}.json"


def write_spec(directory: Path, uid: str, devices: Sequence[str]) -> list[str]:
    """Write the CDI file of a claim, as a whole or not at all; returns the names of its devices."""
    directory.mkdir(parents=True, exist_ok=True)
    path = spec_path(directory, uid)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(cdi_spec(uid, devices)))
    temporary.rename(path)
    return [f"{CDI_KIND}={uid}-{name}" for name in devices]
