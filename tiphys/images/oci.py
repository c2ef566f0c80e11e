"""An image as one tar in the OCI image layout, as `ctr images import` and other tools read it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's architecture in the words of image specifications."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer on disk: importing it is then mere copying, and it never travels."""

    path: Path
    digest: str
    size: int


def layer(path: Path) -> Layer:
    """The layer in a tar file."""
    with open(path, "rb") as file:
        return Layer(path, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def write_archive(path: Path, *, name: str, layers: list[Layer], config: dict[str, Any], labels: dict[str, str]) -> str:
    """Write the image's archive; returns the image's id, which is the digest of its configuration."""
    image = _json(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **config, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [part.digest for part in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", image),
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": part.digest, "size": part.size} for part in layers
            ],
        }
    )
    listed = {
        **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
    }
    index = _json({"schemaVersion": 2, "manifests": [listed]})
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", index)
        for blob in (manifest, image):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for part in layers:
            info = tarfile.TarInfo(f"blobs/sha256/{part.digest.removeprefix('sha256:')}")
            info.size = part.size
            with open(part.path, "rb") as file:
                tar.addfile(info, file)
    return "sha256:" + hashlib.sha256(image).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(blob).hexdigest(), "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
