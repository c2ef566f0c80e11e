"""Credentials for registries: Docker configuration files in all their forms, and which of their entries fit an image. Pure.

See "Pull an Image from a Private Registry" and "Images" (interpretation of config.json). An entry names a host, which may have wildcards
for its labels, perhaps a port, and perhaps a path that the image's must begin with; the longest name comes first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.container.image_names import split

DOCKER_HUB = "index.docker.io"
_FORMS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


class Owner(msgspec.Struct, frozen=True):
    """Secret by whose right an image is pulled."""

    uid: str
    namespace: str
    name: str


class Credential(msgspec.Struct, frozen=True):
    """Login for a registry."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    secret: Owner | None = None
    place: str = ""
    """Its origin when no Secret stands behind it: then every pod of the node may use it."""

    @property
    def digest(self) -> str:
        """Hash of the login alone: equal ones open the same doors, whoever owns them."""
        parts = (self.username, self.password, self.identity_token, self.registry_token)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    @property
    def source(self) -> str:
        """Origin of the login in words; never the login itself."""
        if self.secret is not None:
            return f'Secret "{self.secret.namespace}/{self.secret.name}"'
        return self.place


Entries = Mapping[str, Credential]
"""Logins by the registry, or part of one, that they are for."""


def of_secrets(secrets: Iterable[core.Secret]) -> list[Entries]:
    """Return the logins in pull secrets; those that cannot be read are left out."""
    result: list[Entries] = []
    for secret in secrets:
        data = secret.data.get(_FORMS.get(secret.type, ".dockerconfigjson"), b"")
        owner = Owner(secret.metadata.uid, secret.metadata.namespace, secret.metadata.name)
        result.append({server: msgspec.structs.replace(one, secret=owner) for server, one in read_config(data).items()})
    return result


def read_config(data: bytes, place: str = "") -> dict[str, Credential]:
    """Return the logins of a Docker configuration, with or without `auths` around them; {} for what cannot be read."""
    try:
        parsed = msgspec.json.decode(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parsed, dict):
        return {}
    entries = parsed.get("auths", parsed)
    if not isinstance(entries, dict):
        return {}
    return {server: one for server, entry in entries.items() if isinstance(entry, dict) and (one := _credential(entry, place))}


def _credential(entry: Mapping[str, Any], place: str) -> Credential | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        text = str(entry["auth"]).strip()
        try:
            user, colon, password = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if not colon:
            return None
    return Credential(
        username=user,
        password=password,
        identity_token=str(entry.get("identitytoken") or ""),
        registry_token=str(entry.get("registrytoken") or ""),
        place=place,
    )


def lookup(image: str, entries: Iterable[Entries]) -> list[Credential]:
    """Return the logins that fit an image, the most specific of each source first; sources stay in their order, repetitions go."""
    result: dict[Credential, None] = {}
    host, rest = split(image)
    path = rest.partition("@")[0].partition(":")[0]
    for source in entries:
        fitting, hub = [], []
        for server, one in source.items():
            name = _key(server)
            if matches(name, f"{host}/{path}"):
                fitting.append((name, one))
            elif host == "docker.io" and name == DOCKER_HUB:
                hub.append(one)
        ordered = [one for _, one in sorted(fitting, key=lambda item: item[0], reverse=True)]
        result.update(dict.fromkeys(ordered or hub))
    return list(result)


def _key(server: str) -> str:
    """The name of an entry without scheme and version, as Docker's own clients write it."""
    name = server.removeprefix("https://").removeprefix("http://")
    host, _, path = name.partition("/")
    for version in ("v1", "v2"):
        if path == version or path.startswith(f"{version}/"):
            path = path[len(version) :].lstrip("/")
    return f"{host}/{path}" if path else host


def matches(pattern: str, image: str) -> bool:
    """Return whether a registry's pattern fits an image (`registry/path`): labels one by one, the port exactly, the path as a beginning."""
    host, _, path = pattern.partition("/")
    other, _, rest = image.partition("/")
    (name, port), (target, its_port) = _host_port(host), _host_port(other)
    labels, targets = name.split("."), target.split(".")
    if port != its_port or len(labels) != len(targets) or not rest.startswith(path):
        return False
    return all(fnmatchcase(label, one) for one, label in zip(labels, targets, strict=True))


def _host_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isdecimal() else (host, "")
