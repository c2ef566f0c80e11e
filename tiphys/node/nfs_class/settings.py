"""Parameters of storage classes, and the handles of volumes. Pure.

Names of parameters are those of the CSI driver for NFS (csi-driver-nfs), so its classes need another `provisioner` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote, unquote

import msgspec

from tiphys.api import well_known
from tiphys.csi.errors import InvalidArgument
from tiphys.node.volumes.nfs import Export

NAME: Final = well_known.NFS_DRIVER
"""Name of the driver, and the provisioner of its classes."""
OnDelete = Literal["delete", "retain", "archive"]
_PARAMETERS = ("server", "share", "path", "subdir", "ondelete", "mountpermissions")
_PREFIX = "csi.storage.k8s.io/"
_FIELDS = {
    "${pvc.metadata.name}": "csi.storage.k8s.io/pvc/name",
    "${pvc.metadata.namespace}": "csi.storage.k8s.io/pvc/namespace",
    "${pv.metadata.name}": "csi.storage.k8s.io/pv/name",
}
DEFAULT_MODE = 0o777
RECORDS: Final = ".nfs.tiphys.io"
"""Directory of a share that says which directories are volumes."""


class NfsVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of a share that is a volume. Its handle says everything, as deletion is told nothing else."""

    server: str
    share: str
    directory: str
    """Path below the share."""
    name: str
    """Name of the persistent volume."""
    on_delete: OnDelete = "delete"
    options: tuple[str, ...] = ()
    """Mount options of the class."""

    @property
    def export(self) -> Export:
        """The share."""
        return Export(self.server, self.share)

    @property
    def own_export(self) -> Export:
        """The directory of the volume."""
        return Export(self.server, f"{self.share.rstrip('/')}/{self.directory}")

    @property
    def handle(self) -> str:
        """Return the handle: the parts, separated by `#`."""
        parts = (self.server, self.share, self.directory, self.name, self.on_delete, ",".join(self.options))
        return "#".join(quote(part, safe="/:[],=.") for part in parts)


def parse_handle(handle: str) -> NfsVolume | None:
    """Return the volume of a handle; None for one that this driver has not made."""
    parts = [unquote(part) for part in handle.split("#")]
    if len(parts) != 6 or parts[4] not in ("delete", "retain", "archive") or directory_error(parts[2]):
        return None
    options = tuple(parts[5].split(",")) if parts[5] else ()
    return msgspec.convert(
        {"server": parts[0], "share": parts[1], "directory": parts[2], "name": parts[3], "on_delete": parts[4], "options": options},
        NfsVolume,
    )


def volume_of(name: str, parameters: Mapping[str, str], options: Sequence[str]) -> tuple[NfsVolume, int]:
    """Return the volume `name` of a class with these parameters and mount options, and its permissions, 0 for the server's choice.

    Raises InvalidArgument.
    """
    own = {key.lower(): value for key, value in parameters.items() if not key.startswith(_PREFIX)}
    if unknown := sorted(own.keys() - set(_PARAMETERS)):
        raise InvalidArgument(f"unknown parameters: {', '.join(unknown)}")
    server, share = own.get("server", ""), own.get("share") or own.get("path", "")
    if not server or any(character in server for character in "/ ,"):
        raise InvalidArgument("the parameter server must be the name or the address of an NFS server")
    if not share.startswith("/"):
        raise InvalidArgument("the parameter share must be an absolute path on the server")
    on_delete = own.get("ondelete", "delete").lower()
    if on_delete not in ("delete", "retain", "archive"):
        raise InvalidArgument(f"onDelete is delete, retain or archive, not {on_delete}")
    template = own.get("subdir") or name
    _check_template(template, name, on_delete)
    directory = _filled(template, {**parameters, _FIELDS["${pv.metadata.name}"]: name})
    if problem := directory_error(directory):
        raise InvalidArgument(f"subDir {directory!r} {problem}")
    text = own.get("mountpermissions", f"{DEFAULT_MODE:o}")
    if not re.fullmatch(r"0?[0-7]{1,4}", text):
        raise InvalidArgument(f"mountPermissions must be an octal number of up to four digits, not {text}")
    volume = {"server": server, "share": share, "directory": directory, "name": name, "on_delete": on_delete, "options": tuple(options)}
    return msgspec.convert(volume, NfsVolume), int(text, 8)


def directory_error(directory: str) -> str:
    """Return why a path cannot be the directory of a volume, "" if it can."""
    parts = directory.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "must be a path below the share"
    if parts[0] == RECORDS:
        return "is the directory of the driver itself"
    return "" if "\0" not in directory and len(directory) <= 1024 else "is not a path"


def _check_template(template: str, name: str, on_delete: str) -> None:
    """Refuse a directory that volumes would share, unless none of them removes it."""
    fields = set(_FIELDS) & set(re.findall(r"\$\{[^}]*\}", template))
    unique = template == name or "${pv.metadata.name}" in fields or {"${pvc.metadata.name}", "${pvc.metadata.namespace}"} <= fields
    if not unique and on_delete != "retain":
        raise InvalidArgument(
            f"subDir {template} is not unique: it needs ${{pv.metadata.name}}, or name and namespace of the claim, or onDelete: retain"
        )


def _filled(template: str, parameters: Mapping[str, str]) -> str:
    for field, key in _FIELDS.items():
        if field in template:
            value = parameters.get(key, "")
            if not value or "/" in value:
                raise InvalidArgument(f"subDir needs {field}, which is not known")
            template = template.replace(field, value)
    if "${" in template:
        raise InvalidArgument(f"subDir {template} has an unknown field: known are {', '.join(_FIELDS)}")
    return template
