"""Access to images that are on the node already: who may use one without its registry being asked. Pure.

See KEP-2535, "Ensure Secret Pulled Images". An image that was pulled with a pull secret must not serve a pod that has none of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tiphys.node.container.image_names import name_error
from tiphys.node.pulls.keyring import Credential, Owner
from tiphys.node.pulls.settings import Policy

GROUP_VERSION = "kubelet.config.k8s.io/v1beta1"
MANY = 100
"""Owners of one image from which on a further one with a known login is not added: it is let in by the login anyway."""


class SecretAccess(msgspec.Struct, frozen=True):
    """Pull secret that has opened an image, with the hash of its login."""

    uid: str
    namespace: str
    name: str
    credentialHash: str


class Access(msgspec.Struct, frozen=True, omit_defaults=True):
    """Pods that may use an image under one name."""

    kubernetesSecrets: tuple[SecretAccess, ...] = ()
    nodePodsAccessible: bool = False


class PulledRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Image that the kubelet has pulled, in upstream's form. Without an entry for a name nobody may use it by that name unverified."""

    kind: str = "ImagePulledRecord"
    apiVersion: str = GROUP_VERSION
    lastUpdatedTime: datetime | None = None
    imageRef: str
    credentialMapping: dict[str, Access] = {}


class Verdict(msgspec.Struct, frozen=True):
    """Answer to whether an image may be used as it is."""

    allowed: bool
    result: str
    """Upstream's name of the reason in metrics."""
    learned: Credential | None = None
    """Login of a new owner, or a new one of a known owner, to be recorded."""


def bare_name(image: str) -> str:
    """Return the name of an image without tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def must_verify(policy: Policy, allowlist: Sequence[str], image: str, *, was_pulled: bool) -> bool:
    """Return whether a policy wants the credentials of pods to be checked for an image."""
    if policy == "NeverVerifyPreloadedImages":
        return was_pulled
    if policy == "NeverVerifyAllowlistedImages":
        name = bare_name(image)
        return not any(name.startswith(one[:-1]) if one.endswith("/*") else name == one for one in allowlist)
    return policy == "AlwaysVerify"


def pattern_error(pattern: str) -> str:
    """Return why a text cannot be an entry of the allowlist, or ""."""
    name = pattern.removesuffix("/*")
    if not name:
        return "it names no registry"
    if "*" in name:
        return "only a pattern that ends with /* is allowed"
    if name == pattern and (name_error(pattern) or bare_name(pattern) != pattern):
        return "it must be the name of an image without tag and digest, or end with /*"
    return ""


def judge(record: PulledRecord | None, image: str, offered: Sequence[Credential]) -> Verdict:
    """Return whether a pod with these logins may use an image that was recorded so."""
    access = record.credentialMapping.get(bare_name(image)) if record is not None else None
    if access is None:
        return Verdict(False, "mustAuthenticate")
    if access.nodePodsAccessible:
        return Verdict(True, "credentialRecordFound")
    hashes = {one.credentialHash for one in access.kubernetesSecrets}
    owners = {(one.uid, one.namespace, one.name): one.credentialHash for one in access.kubernetesSecrets}
    room = len(access.kubernetesSecrets) < MANY
    for one in offered:
        if one.secret is None:
            continue
        known = owners.get(_place(one.secret))
        if one.digest in hashes or known is not None:
            return Verdict(True, "credentialRecordFound", one if room and known != one.digest else None)
    return Verdict(False, "mustAuthenticate")


def _place(owner: Owner) -> tuple[str, str, str]:
    return owner.uid, owner.namespace, owner.name


def recorded(
    record: PulledRecord | None, ref: str, image: str, used: Credential | None, now: datetime, *, known: bool = True
) -> PulledRecord:
    """Return the record after a pull by a login (None: none was needed). `known` is False if nobody knows how the image came."""
    record = record or PulledRecord(imageRef=ref)
    mapping = dict(record.credentialMapping)
    if known:
        mapping[bare_name(image)] = _with(mapping.get(bare_name(image)), used)
    if mapping == record.credentialMapping and record.lastUpdatedTime is not None:
        return record
    return msgspec.structs.replace(record, lastUpdatedTime=now.replace(microsecond=0), credentialMapping=mapping)


def _with(access: Access | None, used: Credential | None) -> Access:
    access = access or Access()
    if access.nodePodsAccessible:
        return access
    if used is not None and used.secret is not None:
        place = _place(used.secret)
        others = tuple(one for one in access.kubernetesSecrets if (one.uid, one.namespace, one.name) != place)
        return msgspec.structs.replace(access, kubernetesSecrets=(*others, SecretAccess(*place, used.digest)))
    return Access(nodePodsAccessible=True)
